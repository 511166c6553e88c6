#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""minimax-bench: its tests, its five formats, and its modes for programs."""
import array
import csv
import io
import json
import os
import sqlite3
import tempfile
import unittest

from sample_program import MODEL, main, run

VOCABULARY = 8192
FIELDS = """build_commit build_number cpu_info gpu_info backends model_filename model_type model_size model_n_params n_batch
    n_ubatch n_threads type_k type_v n_gpu_layers n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts
    stddev_ts""".split()
SMALL = ("-p", "16", "-n", "4", "-r", "2")


def bench(*arguments, **more):
    done = run("-m", MODEL, *arguments, **more)
    if done.returncode != 0:
        raise AssertionError(f"exit code {done.returncode}: {done.stderr}")
    return done.stdout


def rows(*arguments):
    return json.loads(bench(*arguments, "-o", "json"))


def names(*arguments):
    return [row["test"] for row in rows(*arguments, "-r", "1", "--no-warmup")]


class Tests(unittest.TestCase):
    def test_prompt_generation_and_both_at_depths(self):
        self.assertEqual(names("-p", "16", "-n", "4", "-pg", "16,4", "-d", "0,32"), [
            "pp16", "tg4", "pp16+tg4", "pp16 @ d32", "tg4 @ d32", "pp16+tg4 @ d32"])

    def test_lists_ranges_and_repeats(self):
        self.assertEqual(names("-p", "8,16", "-p", "4-16*2", "-n", "0"), ["pp8", "pp16", "pp4", "pp8", "pp16"])
        self.assertEqual(names("-p", "0", "-n", "1-3", "-n", "2-6+2"), ["tg1", "tg2", "tg3", "tg2", "tg4", "tg6"])
        self.assertEqual(names("-p", "0", "-n", "0", "-pg", "4,1", "-pg", "8,2"), ["pp4+tg1", "pp8+tg2"])

    def test_setups_multiply(self):
        found = rows("-p", "16", "-n", "0", "-r", "1", "-t", "1,2", "-ub", "8,16", "--compute", "f32,bf16", "--kv", "f32")
        self.assertEqual(len(found), 8)
        self.assertEqual({(r["n_threads"], r["n_ubatch"]) for r in found}, {(1, 8), (1, 16), (2, 8), (2, 16)})
        self.assertEqual({r["type_k"] for r in found}, {"f32"})

    def test_loading_and_the_first_token(self):
        found = rows("-p", "0", "-n", "0", "--load", "--ttft", "16", "-r", "2")
        self.assertEqual([r["test"] for r in found], ["load cold", "load warm", "ttft16"])
        self.assertEqual([len(r["samples_ns"]) for r in found], [1, 2, 2])

    def test_many_sessions_and_cancels(self):
        found = rows("-p", "0", "-n", "3", "--sessions", "1,4", "--cancel", "2", "-d", "5", "-r", "1", "--no-warmup")
        self.assertEqual([r["test"] for r in found],
                         ["tg3 @ d5", "sessions1 tg3 @ d5", "sessions4 tg3 @ d5", "cancel2 @ d5"])
        self.assertEqual([r["n_sessions"] for r in found], [0, 1, 4, 2])
        together = found[2]
        self.assertAlmostEqual(together["samples_ts"][0] * together["samples_ns"][0] / 1e9, 12, places=3)
        self.assertGreater(together["session_bytes"], 3 * found[1]["session_bytes"])

    def test_saving_and_restoring_at_depths(self):
        with tempfile.TemporaryDirectory() as folder:
            found = rows("-p", "0", "-n", "0", "-d", "0,40", "--file", folder + "/bench.session", "-r", "2")
            self.assertEqual(os.listdir(folder), ["bench.session"])
        self.assertEqual([r["test"] for r in found], ["save", "write", "restore", "read", "save @ d40", "write @ d40",
                                                      "restore @ d40", "read @ d40"])
        self.assertTrue(all(r["avg_ns"] > 0 for r in found))

    def test_a_prompt_that_is_known_up_to_its_last_turn(self):
        found = rows("-p", "0", "-n", "0", "--hit", "8", "-d", "300", "-r", "2")
        self.assertEqual([r["test"] for r in found], ["hit8 @ d300"])
        self.assertEqual([len(r["samples_ns"]) for r in found], [2])
        self.assertEqual(run("--hit", "8").returncode, 2)

    def test_branches_at_depths(self):
        calls = ("fork", "mark", "return", "rewind8")
        found = rows("-p", "0", "-n", "0", "-d", "0,40", "--branches", "-r", "3")
        self.assertEqual([r["test"] for r in found], [*calls, *(c + " @ d40" for c in calls)])
        self.assertEqual({len(r["samples_ns"]) for r in found}, {3})
        feed, = rows("-p", "40", "-n", "0", "-r", "3")
        self.assertTrue(all(min(r["samples_ns"]) < min(feed["samples_ns"]) for r in found), "none computes a token")
        lines = bench("-p", "0", "-n", "0", "--branches", "-r", "1").splitlines()
        self.assertRegex(lines[2], r"fork \|\s+[\d.]+ ± 0\.00 us \|$")

    def test_random_weights_of_a_config(self):
        done = run("--synthetic", MODEL + "/config.json", *SMALL, "-o", "jsonl")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([r["synthetic"] for r in found], [True, True])

    def test_the_numbers_fit_together(self):
        for row in rows(*SMALL):
            tokens = row["n_prompt"] + row["n_gen"]
            self.assertEqual(len(row["samples_ns"]), 2)
            self.assertAlmostEqual(row["avg_ns"], sum(row["samples_ns"]) / 2, delta=1)
            self.assertAlmostEqual(row["samples_ts"][0] * row["samples_ns"][0] / 1e9, tokens, places=3)
            self.assertAlmostEqual(row["avg_ts"], sum(row["samples_ts"]) / 2, places=3)
            self.assertGreater(row["peak_bytes"], row["session_bytes"])
            self.assertGreater(row["session_bytes"], 0)
            self.assertTrue(0 < row["active_bytes"] < row["model_size"])


class Formats(unittest.TestCase):
    def test_json_has_the_fields_that_readers_know(self):
        for row in rows(*SMALL):
            self.assertEqual(list(row)[:len(FIELDS)], FIELDS)
            self.assertEqual(row["state_type"], "f32")
            self.assertEqual((row["model_filename"], row["backends"]), (MODEL, "CPU"))
            self.assertTrue(row["model_type"].startswith("minimax-01 "), row["model_type"])

    def test_jsonl(self):
        found = [json.loads(line) for line in bench(*SMALL, "-o", "jsonl").splitlines()]
        self.assertEqual([r["test"] for r in found], ["pp16", "tg4"])

    def test_csv(self):
        found = list(csv.DictReader(io.StringIO(bench(*SMALL, "-o", "csv"))))
        self.assertEqual([(r["n_prompt"], r["n_gen"]) for r in found], [("16", "0"), ("0", "4")])
        self.assertTrue(all(float(r["avg_ts"]) > 0 for r in found))

    def test_sql(self):
        database = sqlite3.connect(":memory:")
        database.executescript(bench(*SMALL, "-o", "sql"))
        found = database.execute("SELECT n_prompt, n_gen, avg_ts > 0, state_type FROM llama_bench").fetchall()
        self.assertEqual(found, [(16, 0, 1, "f32"), (0, 4, 1, "f32")])

    def test_markdown(self):
        lines = bench(*SMALL, "-ub", "8", "--load").splitlines()
        heads = [cell.strip() for cell in lines[0].strip("|").split("|")]
        self.assertEqual(heads, ["model", "size", "params", "backend", "threads", "n_ubatch", "test", "t/s"])
        table = [line for line in lines if line.startswith("|")]
        self.assertEqual(len(table), 6)
        self.assertEqual(len({len(line) for line in table}), 1, "rows are of one width")
        self.assertRegex(table[2], r"load cold \|\s+[\d.]+ ± 0\.00 ms \|$")
        self.assertRegex(table[5], r"tg4 \|\s+[\d.]+ ± [\d.]+ \|$")
        self.assertTrue(any("MB of weights a token" in line for line in lines))

    def test_decoding_is_put_against_the_memory(self):
        text = bench("-p", "0", "-n", "4", "-r", "1", "--bandwidth")
        self.assertRegex(text, r"memory read by \d+ threads: [\d.]+ GB/s at best, [\d.]+ GB/s median")
        self.assertRegex(text, r"tg4: .*[\d.]+ GB/s, \d+ % of the best read")


class Modes(unittest.TestCase):
    def test_serves_requests(self):
        requests = [{"n_prompt": 16}, {"n_gen": 2, "n_depth": 8}, {"n_prompt": -1}, {"n_prompt": 1, "n_gen": 1}]
        lines = "\n".join(map(json.dumps, requests)) + "\n\nno json\n"
        answers = [json.loads(line) for line in bench("--serve", stdin=lines).splitlines()]
        self.assertEqual(len(answers), 5)
        self.assertEqual([("n_prompt", "n_gen", "n_depth", "ns") == tuple(a) for a in answers],
                         [True, True, False, True, False])
        self.assertEqual((answers[1]["n_gen"], answers[1]["n_depth"]), (2, 8))
        self.assertTrue(all(a["ns"] > 0 for a in answers if "ns" in a))
        self.assertIn("n_prompt", answers[2]["error"])

    def test_writes_logits(self):
        """600 tokens are more than a piece: there is a row for each all the same."""
        with tempfile.TemporaryDirectory() as folder:
            tokens, out = os.path.join(folder, "tokens.i32"), os.path.join(folder, "logits.f32")
            with open(tokens, "wb") as f:
                array.array("i", [1000 + i * 7 % 5000 for i in range(600)]).tofile(f)
            summary = json.loads(bench("--logits", out, "--tokens", tokens))
            self.assertEqual(summary, {"count": 600, "n_vocab": VOCABULARY})
            self.assertEqual(os.path.getsize(out), 600 * VOCABULARY * 4)

    def test_both_files_are_needed(self):
        done = run("-m", MODEL, "--logits", "out.f32")
        self.assertEqual(done.returncode, 2)


class Failures(unittest.TestCase):
    def check(self, code, word, *arguments, **more):
        done = run(*arguments, **more)
        self.assertEqual(done.returncode, code)
        self.assertTrue(done.stderr.startswith("minimax-bench: "), done.stderr)
        self.assertIn(word, done.stderr)

    def test_wrong_usage(self):
        for flag, value in (("-p", "many"), ("-p", "4-2"), ("-p", "1-4*1"), ("-n", "-3"), ("-pg", "5"), ("-r", "0"),
                            ("-o", "xml"), ("--compute", "f8"), ("-b", "0"), ("--sessions", "0"), ("--cancel", "x"), ("-p", "99999999999999999999")):
            with self.subTest(flag=flag, value=value):
                self.check(2, value, "-m", MODEL, flag, value)
        self.check(2, "stray", "stray")

    def test_what_the_library_refuses(self):
        self.check(1, "no/such/model", "-m", "no/such/model")
        self.check(1, "9000", "-m", MODEL, "-ub", "9000")

    def test_a_disk_that_is_full(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            self.check(1, "standard output", "-m", MODEL, "-p", "4", "-n", "0", "-r", "1", stdout=full)

    def test_json_is_closed_after_a_failure(self):
        done = run("-m", MODEL, "-m", "no/such/model", "-p", "4", "-n", "0", "-r", "1", "-o", "json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(json.loads(done.stdout)), 1)

    def test_help_and_version(self):
        self.assertIn("--ubatch-size", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^minimax-bench \d+\.\d+\.\d+ \(.+\)\n$")


if __name__ == "__main__":
    main()
