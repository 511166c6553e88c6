#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Encoding speed beside the `tokenizers` package, one thread each, on the same 4 MB of text.

    pip install tokenizers
    cmake --build --preset cpu --target tokenizer_bench
    python3 tests/bench/tokenizer_bench.py --model FOLDER_WITH_TOKENIZER_JSON

The text is English (the docstrings and comments of Python's standard library), Chinese (sentences made
from a fixed list of words) and code (the standard library itself), a third each, mixed in documents
of 4096 characters. Both sides run in turn; their ids must be equal. Of each side the best and the
median of the runs are reported, in processor time of the thread, which other programs disturb least;
wall time is printed too. The package is measured twice: `encode` document by document, and
`encode_batch_fast`, which leaves out offsets and is its fastest way.
"""

import argparse
import io
import os
import random
import statistics
import subprocess
import sysconfig
import tempfile
import time
import tokenize

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers  # noqa: E402  (reads the variables above)

DOCUMENT_CHARACTERS = 4096
WORDS = (
    "我们 今天 模型 语言 的 在 学习 一个 城市 时间 可以 使用 计算 数据 问题 方法 研究 世界 人工智能 因为 "
    "所以 如果 但是 北京 上海 朋友 孩子 老师 学生 工作 生活 发展 经济 历史 文化 音乐 电影 书籍 天气 春天 "
    "河流 山脉 海洋 飞机 火车 汽车 手机 电脑 网络 安全 健康 医院 医生 食物 水果 米饭 面条 茶 咖啡 市场 "
    "公司 政府 法律 社会 国家 地方 地图 旅行 照片 颜色 红色 蓝色 快乐 美丽 重要 困难 简单 新 旧 大 小 多 少 "
    "很 非常 已经 正在 没有 不是 什么 怎么 为什么 哪里 这里 那里 他 她 它 你 我 了 着 过 把 被 给 对 从 到"
).split()
MARKS = ["，", "，", "，", "。", "。", "！", "？", "；", "：", "、"]


def library_sources():
    folder = sysconfig.get_paths()["stdlib"]
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8", errors="ignore") as file:
                yield file.read()


def english(source):
    """Comments and the longer strings of a program."""
    out = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                out.append(token.string.lstrip("# "))
            elif token.type == tokenize.STRING and len(token.string) > 120:
                out.append(token.string.strip("\"'"))
    except (tokenize.TokenError, SyntaxError):
        pass
    return "\n".join(out)


def chinese(size):
    rng = random.Random(1)
    out = []
    length = 0
    while length < size:
        sentence = "".join(rng.choice(WORDS) for _ in range(rng.randint(3, 14))) + rng.choice(MARKS)
        out.append(sentence + ("\n" if rng.random() < 0.05 else ""))
        length += len(out[-1].encode())
    return "".join(out)


def make_parts(size):
    """English, Chinese and code of size / 3 bytes each."""
    third = size // 3
    sources = list(library_sources())
    cut = lambda text: text.encode()[:third].decode(errors="ignore")
    return {
        "english": cut("\n".join(map(english, sources))),
        "chinese": cut(chinese(third)),
        "code": cut("".join(sources)),
    }


def documents_of(text):
    return [text[i : i + DOCUMENT_CHARACTERS] for i in range(0, len(text), DOCUMENT_CHARACTERS)]


class Ours:
    def __init__(self, program, model, documents):
        self.file = tempfile.NamedTemporaryFile()
        for document in documents:
            data = document.encode()
            self.file.write(b"%d\n" % len(data) + data)
        self.file.flush()
        self.process = subprocess.Popen(
            [program, model, self.file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def time(self):
        self.process.stdin.write("time\n")
        self.process.stdin.flush()
        wall, processor, _ = self.process.stdout.readline().split()
        return float(processor), float(wall)

    def ids(self):
        out, _ = self.process.communicate("ids\n")
        return [list(map(int, line.split())) for line in out.splitlines()]


def time_theirs(run):
    wall, processor = time.perf_counter(), time.thread_time()
    run()
    return time.thread_time() - processor, time.perf_counter() - wall


def compare(title, program, model, theirs, documents, pairs):
    size = sum(len(document.encode()) for document in documents) / 1e6
    ours = Ours(program, model, documents)
    runs = {
        "libminimax": ours.time,
        "encode": lambda: time_theirs(lambda: [theirs.encode(d) for d in documents]),
        "encode_batch_fast": lambda: time_theirs(lambda: theirs.encode_batch_fast(documents)),
    }
    seconds = {name: [] for name in runs}
    for _ in range(pairs):
        for name, run in runs.items():
            seconds[name].append(run())
    expected = [theirs.encode(document, add_special_tokens=False).ids for document in documents]
    equal = ours.ids() == expected
    print(
        f"\n{title}: {size:.2f} MB in {len(documents)} documents, {sum(map(len, expected))} ids, "
        f"{'equal' if equal else 'NOT EQUAL'}"
    )
    print(f"  {'':18}  {'best MB/s':>9}  {'median MB/s':>11}  {'wall MB/s':>9}  {'ratio':>6}")
    ours_median = statistics.median(s[0] for s in seconds["libminimax"])
    for name, times in seconds.items():
        processor = [t[0] for t in times]
        median = statistics.median(processor)
        wall = statistics.median(t[1] for t in times)
        print(
            f"  {name:18}  {size / min(processor):9.2f}  {size / median:11.2f}  {size / wall:9.2f}"
            f"  {median / ours_median:6.1f}"
        )
    return equal


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="folder with a tokenizer.json")
    parser.add_argument("--program", default="build/cpu/tests/bench/tokenizer_bench")
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    theirs = tokenizers.Tokenizer.from_file(os.path.join(options.model, "tokenizer.json"))
    parts = make_parts(int(options.megabytes * 1e6))
    mixed = [d for group in zip(*map(documents_of, parts.values())) for d in group]
    rest = [d for part in parts.values() for d in documents_of(part)]
    mixed += sorted(set(rest) - set(mixed))
    print(f"tokenizers {tokenizers.__version__}, one thread each, {options.pairs} runs in turn")
    equal = True
    for title, documents in [
        ("mixed, 4 KB documents", mixed),
        ("mixed, one document", ["".join(mixed)]),
        *((f"{name}, 4 KB documents", documents_of(part)) for name, part in parts.items()),
    ]:
        equal &= compare(title, options.program, options.model, theirs, documents, options.pairs)
    raise SystemExit(0 if equal else 1)


if __name__ == "__main__":
    main()
