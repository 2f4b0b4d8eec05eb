/* errors_file.c - what is no batch file at all, and what is not YAML or JSON: the exact words, the
 * place, the line, the caret. */
#include "sample.h"

#include <criterion/criterion.h>
#include <sys/stat.h>

static const struct sample_row rows[] = {
	{"missing file", "nothere.yaml", NULL, 0, "nothere.yaml: there is no such file"},
	{"folder", "folder", NULL, 0, "folder: is a folder, not a batch file"},
	{"empty", "b.yaml", "", 0, "b.yaml: the file is empty"},
	{"only comments", "b.yaml",
	 "# nothing\n"
	 "\n",
	 0, "b.yaml: the file has no content"},
	{"zero byte", "b.yaml",
	 "version: 1\n"
	 "\000\n",
	 13, "b.yaml: not a text file: byte 11 is zero"},
	{"not utf8", "b.yaml",
	 "version: 1\n"
	 "name: caf\351\n",
	 0,
	 "b.yaml:2:10: not a text file in UTF-8: byte 0xe9\n"
	 "  name: caf?\n"
	 "           ^"},
	{"utf16", "b.yaml", "\377\376v\000", 4,
	 "b.yaml: the file is UTF-16; save it as UTF-8"},
	{"tab indent", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "\ta: {run: x}\n",
	 0,
	 "b.yaml:3:1: not valid YAML: a tab where only spaces may indent\n"
	 "          a: {run: x}\n"
	 "  ^"},
	{"unclosed list", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a: {run: [x}\n",
	 0,
	 "b.yaml:3:14: not valid YAML: did not find expected ',' or ']' while parsing a "
	 "flow sequence\n"
	 "    a: {run: [x}\n"
	 "               ^"},
	{"bad indent", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "   needs: [b]\n",
	 0,
	 "b.yaml:5:4: not valid YAML: did not find expected key while parsing a block "
	 "mapping that begins in line 3\n"
	 "     needs: [b]\n"
	 "     ^"},
	{"unclosed quote", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: \"x\n",
	 0,
	 "b.yaml:4:12: not valid YAML: found unexpected end of stream while scanning a "
	 "quoted scalar that begins in line 4\n"
	 "      run: \"x\n"
	 "             ^"},
	{"two documents", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "---\n"
	 "version: 1\n",
	 0,
	 "b.yaml:5:1: a batch file is one YAML document; this begins another\n"
	 "  ---\n"
	 "  ^"},
	{"control char", "b.yaml",
	 "version: 1\n"
	 "name: \"a\001\"\n",
	 0,
	 "b.yaml:2:9: not valid YAML: control characters are not allowed\n"
	 "  name: \"a?\"\n"
	 "          ^"},
	{"root list", "b.yaml", "[1]\n", 0,
	 "b.yaml:1:1: a batch file must be a map, not a list\n"
	 "  [1]\n"
	 "  ^"},
	{"duplicate key", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    run: y\n",
	 0,
	 "b.yaml:5:5: duplicate key \"run\"; it is already in line 4\n"
	 "      run: y\n"
	 "      ^"},
	{"duplicate task", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a: {run: x}\n"
	 "  b: {run: x}\n"
	 "  \"a\": {run: y}\n",
	 0,
	 "b.yaml:5:3: duplicate key \"a\"; it is already in line 3\n"
	 "    \"a\": {run: y}\n"
	 "    ^"},
	{"merge key", "b.yaml",
	 "x: &x {a: b}\n"
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    <<: *x\n"
	 "    run: y\n",
	 0,
	 "b.yaml:5:5: merge keys (<<) are not supported\n"
	 "      <<: *x\n"
	 "      ^\n"
	 "> put what tasks share under \"defaults\""},
	{"unknown alias", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: *nope\n",
	 0,
	 "b.yaml:4:10: unknown alias *nope: no &nope before it\n"
	 "      run: *nope\n"
	 "           ^"},
	{"recursive alias", "b.yaml",
	 "version: 1\n"
	 "tasks: &t\n"
	 "  a: *t\n",
	 0,
	 "b.yaml:3:6: alias *t is inside of what it stands for\n"
	 "    a: *t\n"
	 "       ^"},
	{"bomb", "b.yaml",
	 "version: 1\n"
	 "name: x\n"
	 "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	 "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
	 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
	 "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
	 "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
	 "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
	 0,
	 "b.yaml:8:29: the aliases of this file stand for more than 1000000 nodes\n"
	 "  f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
	 "                              ^"},
	{"deep", "b.yaml",
	 "version: 1\n"
	 "tasks: "
	 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]"
	 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
	 0,
	 "b.yaml:2:71: nested deeper than 64 levels\n"
	 "  "
	 "...[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]..."
	 "\n"
	 "                                                 ^"},
	{"tag", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: !!binary aGVsbG8=\n",
	 0,
	 "b.yaml:4:10: tag \"tag:yaml.org,2002:binary\" has no meaning here\n"
	 "      run: !!binary aGVsbG8=\n"
	 "           ^"},
	{"list key", "b.yaml",
	 "version: 1\n"
	 "[a, b]: 3\n",
	 0,
	 "b.yaml:2:1: a key is a text, not a list\n"
	 "  [a, b]: 3\n"
	 "  ^"},
	{"long line", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: [echo, item0, item1, item2, item3, item4, item5, item6, item7, item8, "
	 "item9, item10, item11, item12, item13, item14, item15, item16, item17, item18, "
	 "item19, item20, item21, item22, item23, item24, item25, item26, item27, "
	 "item28, item29, {}, more0, more1, more2, more3, more4, more5, more6, more7, "
	 "more8, more9, more10, more11, more12, more13, more14, more15, more16, more17, "
	 "more18, more19, more20, more21, more22, more23, more24, more25, more26, "
	 "more27, more28, more29]\n",
	 0,
	 "b.yaml:4:247: an item of run must be a text, not a map\n"
	 "  ...24, item25, item26, item27, item28, item29, {}, more0, more1, more2, "
	 "more...\n"
	 "                                                 ^"},
	{"tabs and wide", "b.yaml",
	 "version: 1\n"
	 "tasks: {a: {run: [echo,\t\"日本語é\",\t{}]}}\n",
	 0,
	 "b.yaml:2:33: an item of run must be a text, not a map\n"
	 "  ...sks: {a: {run: [echo,        \"日本語é\",      {}]}}\n"
	 "                                                  ^"},
	{"crlf", "b.yaml",
	 "version: 1\r\n"
	 "tasks: {a: {rum: x}}\r\n",
	 0,
	 "b.yaml:2:13: unknown key \"rum\" in task \"a\"; did you mean \"run\"?\n"
	 "  tasks: {a: {rum: x}}\n"
	 "              ^"},
	{"json syntax", "b.json",
	 "{\"version\": 1,\n"
	 " \"tasks\": {\"a\": {\"run\": [\"x\",]}}}\n",
	 0,
	 "b.json:2:30: not valid JSON: ']' where a value is expected\n"
	 "   \"tasks\": {\"a\": {\"run\": [\"x\",]}}}\n"
	 "                               ^"},
	{"json end", "b.json", "{\"version\": 1,\n", 0,
	 "b.json:1:15: not valid JSON: the text ends where a key in double quotes is "
	 "expected\n"
	 "  {\"version\": 1,\n"
	 "                ^"},
	{"json duplicate", "b.json",
	 "{\"version\": 1, \"tasks\": {\"a\": {\"run\": \"x\",\n"
	 " \"run\": \"y\"}}}\n",
	 0,
	 "b.json:2:2: duplicate key \"run\"; it is already in line 1\n"
	 "   \"run\": \"y\"}}}\n"
	 "   ^"},
	{"json unknown", "b.json",
	 "{\"version\": 1, \"tasks\": {\"a\": {\"run\": \"x\", \"need\": []}}}\n", 0,
	 "b.json:1:44: unknown key \"need\" in task \"a\"; did you mean \"needs\"?\n"
	 "  {\"version\": 1, \"tasks\": {\"a\": {\"run\": \"x\", \"need\": []}}}\n"
	 "                                             ^"},
	{"json null", "b.json",
	 "{\"version\": 1, \"tasks\": {\"a\": {\"run\": [\"x\", null]}}}\n", 0,
	 "b.json:1:45: an item of run must be a text, not null\n"
	 "  {\"version\": 1, \"tasks\": {\"a\": {\"run\": [\"x\", null]}}}\n"
	 "                                              ^"},
	{"substitution in a list", "b.yaml",
	 "version: 1\ntasks: {a: {run: [x, ${p.y}]}}\n", 0,
	 "b.yaml:2:23: not valid YAML: between [ ] and { } a text with ${...} must be "
	 "quoted: "
	 "\"${p.lr}\"\n"
	 "  tasks: {a: {run: [x, ${p.y}]}}\n"
	 "                        ^"},
	{"json small float", "b.json",
	 "{\"version\": 1, \"tasks\": {\"a\": {\"run\": \"x\",\n"
	 " \"params\": {\"a\": 1e-999}}}}\n",
	 0,
	 "b.json:2:18: 1e-999 does not fit: integers have 64 bits, and floats go from "
	 "4.9e-324 to 1.8e308; quote it to pass a text\n"
	 "   \"params\": {\"a\": 1e-999}}}}\n"
	 "                   ^"},
	{"json deep", "b.json",
	 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]"
	 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	 0,
	 "b.json:1:65: not valid JSON: nested deeper than 64 levels\n"
	 "  "
	 "...[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]..."
	 "\n"
	 "                                                 ^"},
	{"jsonl empty", "b.jsonl", "", 0, "b.jsonl: the file is empty"},
	{"jsonl blank", "b.jsonl",
	 "\n"
	 "  \n",
	 0, "b.jsonl: the file is empty"},
	{"jsonl first", "b.jsonl", "{\"run\": \"x\", \"retrys\": 1}\n", 0,
	 "b.jsonl:1:14: unknown key \"retrys\" in a task; did you mean \"retries\"?\n"
	 "  {\"run\": \"x\", \"retrys\": 1}\n"
	 "               ^"},
	{"jsonl third", "b.jsonl",
	 "{\"run\": \"x\"}\n"
	 "\n"
	 "{\"run\": \"x\",}\n",
	 0,
	 "b.jsonl:3:13: not valid JSON: '}' where a key in double quotes is expected\n"
	 "  {\"run\": \"x\",}\n"
	 "              ^"},
	{"jsonl sweep", "b.jsonl",
	 "{\"run\": \"x\", \"sweep\": {\"params\": {\"a\": [1]}}}\n", 0,
	 "b.jsonl:1:23: sweep is not for JSONL lines: a line is one task; use a YAML or "
	 "JSON file\n"
	 "  {\"run\": \"x\", \"sweep\": {\"params\": {\"a\": [1]}}}\n"
	 "                        ^"},
	{"jsonl forward", "b.jsonl",
	 "{\"run\": \"x\"}\n"
	 "{\"run\": \"y\", \"needs\": [2]}\n"
	 "{\"run\": \"z\"}\n",
	 0,
	 "b.jsonl:2:24: reference to task 2 from task 1: in JSONL references point "
	 "backwards\n"
	 "  {\"run\": \"y\", \"needs\": [2]}\n"
	 "                         ^"},
	{"jsonl forward name", "b.jsonl",
	 "{\"run\": \"x\"}\n"
	 "{\"run\": \"y\", \"needs\": [\"z\"]}\n"
	 "{\"run\": \"z\", \"name\": \"z\"}\n",
	 0,
	 "b.jsonl:2:24: unknown task \"z\" on an earlier line\n"
	 "  {\"run\": \"y\", \"needs\": [\"z\"]}\n"
	 "                         ^"},
	{"jsonl self", "b.jsonl", "{\"run\": \"y\", \"needs\": [0]}\n", 0,
	 "b.jsonl:1:24: task \"y\" refers to itself\n"
	 "  {\"run\": \"y\", \"needs\": [0]}\n"
	 "                         ^"},
	{"jsonl list", "b.jsonl", "[1]\n", 0,
	 "b.jsonl:1:1: a line must be a map, not a list\n"
	 "  [1]\n"
	 "  ^"},
	{"jsonl stdout", "b.jsonl",
	 "{\"run\": \"y\", \"outputs\": {\"o\": \"o\"}}\n"
	 "{\"run\": \"z\", \"inputs\": {\"i\": {\"ref\": \"0.stdout\"}}}\n",
	 0,
	 "b.jsonl:2:38: task \"0\" declares outputs, so its standard output is a log; "
	 "what JSONL passes on must be an output\n"
	 "  {\"run\": \"z\", \"inputs\": {\"i\": {\"ref\": \"0.stdout\"}}}\n"
	 "                                       ^"},
};

Test(batch_file_errors,
     a_file_that_cannot_be_read_as_a_batch_is_refused_with_its_position,
     .init = sample_begin, .fini = sample_end)
{
	mkdir("folder", 0755);
	sample_check_errors(rows, ARRAY_LEN(rows));
}
