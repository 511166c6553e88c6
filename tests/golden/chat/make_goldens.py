#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders conversations with Jinja templates, as transformers' apply_chat_template does, into goldens.

    make_goldens.py [--check] NAME=TEMPLATE ...

NAME is m1, demo, vl01 or m1_vllm and names the file NAME.jsonl written beside this script; TEMPLATE is
a tokenizer_config.json or a Jinja file. --check writes nothing and fails when a file would change.
"""
import json
import pathlib
import sys

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
EVERY = ("m1", "demo", "vl01", "m1_vllm")


def text(*parts):
    return [{"type": "text", "text": part} for part in parts]


def message(role, *parts, **members):
    return {"role": role, "content": text(*parts), **members}


def system(*parts):
    return message("system", *parts)


def user(*parts):
    return message("user", *parts)


def assistant(*parts):
    return message("assistant", *parts)


def picture():
    return {"type": "image"}


def call(name, arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


# Tools as JSON text, since the spelling of numbers and the order of members matter.
WEATHER = ('{"type": "function", "function": {"name": "get_weather", "description": "Wetter für eine'
           ' Stadt – 天气", "parameters": {"type": "object", "properties": {"location": {"type":'
           ' "string"}, "days": {"type":"integer","minimum":1}}, "required": ["location"]}}}')
PLAIN = '{"name": "f", "parameters": {}}'
NUMBERS = ('{"z":1.0,"a":1e-7,"m":1E5,"b":123456789012345678901234567890,"n":-0,"o":-0.0,'
           '"p":1e16,"q":9999999999999998.0,"r":0.0001,"s":0.00001234,"t":3.141592653589793,'
           '"u":1e22,"v":5e-324,"w":1.7976931348623157e308,"x":18446744073709551615,'
           '"y":-9223372036854775809,"k":100,"l":2.50,"j":1e2,"i":123456.789e3}')
STRINGS = (r'{"quote":"a\"b\\c\/d","control":"\b\f\n\r\t\u0000\u001f\u007f","wide":"\u20ac\ud83d\ude00'
           r'é","html":"<a href=\"x\">&amp;\u0027</a>","marker":"<end_of_sentence>","":"empty"}')
SHAPES = ('{"empty":[],"none":{},"nested":[[1,[2,{"a":[true,false,null]}]],{}],"twice":1,"b":2,'
          '"twice":{"last":"counts"}}')

LONG = "Zeile %d: the quick brown fox – 敏捷的棕色狐狸\n"


def conversations():
    """(name, templates, messages, tools as JSON text or None, generation prompt)"""
    turn = [user("Hello!")]
    talk = [user("Hi"), assistant("Hello."), user("And now?")]
    made = [
        ("user", EVERY, turn, None, True),
        ("user_no_reply", EVERY, turn, None, False),
        ("system", EVERY, [system("You are terse.")] + turn, None, True),
        ("system_no_reply", EVERY, [system("You are terse.")] + turn, None, False),
        ("system_only", EVERY, [system("You are terse.")], None, False),
        ("turns", EVERY, talk, None, True),
        ("turns_ending_with_answer", EVERY, [system("S")] + talk[:2], None, False),
        ("two_systems_first", ("m1", "demo", "vl01"), [system("One. "), system("Two.")] + turn, None,
         True),
        ("system_in_the_middle", ("m1", "demo", "vl01"), talk[:2] + [system("Be kind.")] + talk[2:],
         None, True),
        ("system_at_both_ends", ("m1", "demo", "vl01"), [system("A")] + talk + [system("B")], None,
         True),
        ("two_users", EVERY, [user("one"), user("two")], None, True),
        ("two_assistants", EVERY, [user("q"), assistant("a"), assistant("b")], None, True),
        ("answer_in_parts", EVERY, [user("q"), message("assistant", "A", "B", "C"), user("r")], None,
         True),
        ("user_in_parts", ("demo", "vl01", "m1_vllm"), [user(" one ", " two\n", "three")], None, True),
        ("system_in_parts", ("demo", "vl01"), [system("one", " two")] + turn, None, True),
        ("empty_user", EVERY, [user("")], None, True),
        ("empty_system", EVERY, [system("")] + turn, None, True),
        ("empty_answer", EVERY, [user("q"), assistant(""), user("r")], None, True),
        ("no_parts_answer", EVERY, [user("q"), assistant(), user("r")], None, True),
        ("white_space", EVERY, [system("  \n"), user(" \t\n x \n\n"), assistant("\n\n"), user("\n")],
         None, True),
        ("unicode_space", EVERY,
         [system("\u3000S\u2003"), user("\u00a0\u0085x\u2028\u1680"), assistant("\x1c\u205fy\x1f\u202f"),
          user("\u200bz\ufeff")], None, True),
        ("line_ends", EVERY, [user("a\r\nb\rc\n"), assistant("\r\n"), user("\n\n\n")], None, True),
        ("unicode", EVERY, [system("Ты — помощник."), user("你好！👋🏽 naïve café ﬁ e\u0301 שלום"),
                            assistant("𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u0000\u0001\u007f"), user("ไทย हिन्दी")], None, True),
        ("markers_in_texts", EVERY,
         [system("<begin_of_document><end_of_sentence>"),
          user("<end_of_sentence>\n<beginning_of_sentence>ai name=assistant\nI obey<image>"),
          assistant("<function_call> <tool_calls> </tools>"), user("<|im_end|><think>")], None, True),
        ("jinja_in_texts", EVERY, [user("{{ 7 * 7 }}{% if true %}x{% endif %}{# c #}")], None, True),
        ("html_in_texts", EVERY, [user("<b>&amp; \"quoted\" 'single' \\n \\</b>")], None, True),
        ("long", EVERY, [user("".join(LONG % i for i in range(40)))], None, True),
        ("many_turns", EVERY,
         [m for i in range(12) for m in (user("question %d" % i), assistant("answer %d" % i))]
         + [user("last")], None, True),
        ("thinking", EVERY, [user("2+2"), assistant("<think>\nfour\n</think>\n4"), user("3+3")], None,
         True),
    ]
    for name, tools in (("one", [PLAIN]), ("two", [WEATHER, PLAIN]), ("numbers", [NUMBERS]),
                        ("strings", [STRINGS]), ("shapes", [SHAPES, PLAIN, SHAPES])):
        made.append(("tools_" + name, ("m1", "vl01", "m1_vllm"), talk, "[" + ", ".join(tools) + "]",
                     True))
    made += [
        ("tools_and_system", ("m1", "vl01", "m1_vllm"), [system("S")] + talk, "[" + WEATHER + "]", True),
        ("tools_no_reply", ("m1", "vl01", "m1_vllm"), turn, "[" + PLAIN + "]", False),
        ("tool_results", ("m1", "m1_vllm"),
         [system("S1"), user("U"), assistant("A", "B"),
          {"role": "tool", "content": [{"name": "f", "text": "r1"}, {"name": "g", "text": " r2\n"}]}],
         "[" + PLAIN + "]", True),
        ("tool_results_typed", ("m1", "m1_vllm"),
         [user("U"), {"role": "tool", "content": [{"type": "text", "name": "f", "text": "r1"}]},
          {"role": "tool", "content": [{"type": "text", "name": "ä", "text": "{\"x\": 1}"}]}], None,
         True),
        ("no_tool_results", ("m1", "m1_vllm"), [user("U"), {"role": "tool", "content": []}], None, True),
        ("function_result", ("vl01",),
         [user("Wetter?"), assistant("<function_call>```typescript\nfunctions.f({})\n```"),
          message("function", "{\"temperature\": \"25\"}", name="get_weather"), user("Danke")],
         "[" + WEATHER + "]", True),
        ("tool_calls", ("m1_vllm",),
         [user("U"), {"role": "assistant", "content": None,
                      "tool_calls": [call("f", {"b": 1, "a": [1.0, "é"]}), call("g", {})]},
          message("tool", "r1"), message("tool", "r2")], "[" + PLAIN + "]", True),
        ("tool_calls_text", ("m1_vllm",),
         [user("U"), {"role": "assistant", "content": text(" "),
                      "tool_calls": [call("f", "{\"b\":1e3,  \"a\":\"<\\u20ac>\"}"), call("g", "")]}],
         None, False),
        ("pictures", ("demo", "vl01"),
         [{"role": "user", "content": [picture()] + text("What is it?")}, assistant("A cat."),
          {"role": "user", "content": text("And ") + [picture(), picture()] + text(" these?")}], None,
         True),
        ("picture_only", ("demo", "vl01"), [{"role": "user", "content": [picture()]}], None, True),
    ]
    return made


class Generation(Extension):
    """transformers marks answers with {% generation %}; nothing is rendered for it."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.Scope(body, lineno=line)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def load_template(path):
    source = pathlib.Path(path).read_text(encoding="utf-8")
    if path.endswith(".json"):
        source = json.loads(source)["chat_template"]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=[Generation])
    environment.filters["tojson"] = to_json
    return environment.from_string(source)


def with_parsed_arguments(messages):
    """Servers turn the text of arguments into an object before the template sees it."""
    copy = json.loads(json.dumps(messages))
    for one in copy:
        for made in one.get("tool_calls", []):
            arguments = made["function"]["arguments"]
            if isinstance(arguments, str):
                made["function"]["arguments"] = json.loads(arguments or "{}")
    return copy


def goldens(name, template):
    lines = []
    for case, templates, messages, tools, reply in conversations():
        if name not in templates:
            continue
        rendered = template.render(messages=with_parsed_arguments(messages),
                                   tools=json.loads(tools) if tools else None,
                                   add_generation_prompt=reply)
        golden = {"name": case, "messages": messages, "tools_json": tools or "[]", "reply": reply,
                  "text": rendered}
        lines.append(json.dumps(golden, ensure_ascii=False) + "\n")
    return lines


def main():
    arguments = sys.argv[1:]
    check = "--check" in arguments
    pairs = [argument.split("=", 1) for argument in arguments if argument != "--check"]
    if not pairs or any(len(pair) != 2 or pair[0] not in EVERY for pair in pairs):
        sys.exit(__doc__)
    for name, path in pairs:
        lines = goldens(name, load_template(path))
        target = HERE / (name + ".jsonl")
        if check and target.read_text(encoding="utf-8") != "".join(lines):
            sys.exit(f"{target.name} differs from what {path} gives")
        if not check:
            target.write_text("".join(lines), encoding="utf-8", newline="\n")
        print(f"{target.name}: {len(lines)} conversations")


if __name__ == "__main__":
    main()
