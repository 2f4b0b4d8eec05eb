/* errors_schema.c - keys, types and values: the exact words, the
 * place, the line, the caret. */
#include "sample.h"

#include <criterion/criterion.h>

static const struct sample_row rows[] = {
	{"no version", "b.yaml", "tasks: {a: {run: x}}\n", 0,
	 "b.yaml:1:1: version is missing: a batch file has version: 1\n"
	 "  tasks: {a: {run: x}}\n"
	 "  ^"},
	{"version 2", "b.yaml",
	 "version: 2\n"
	 "workflow: {}\n",
	 0,
	 "b.yaml:1:10: unknown version 2: this cashet reads version 1\n"
	 "  version: 2\n"
	 "           ^\n"
	 "> a newer cashet may read it"},
	{"version text", "b.yaml", "version: \"1\"\n", 0,
	 "b.yaml:1:10: version must be a whole number, not the text \"1\"\n"
	 "  version: \"1\"\n"
	 "           ^"},
	{"no tasks", "b.yaml", "version: 1\n", 0,
	 "b.yaml:1:1: the batch file has no tasks\n"
	 "  version: 1\n"
	 "  ^"},
	{"empty tasks", "b.yaml",
	 "version: 1\n"
	 "tasks: {}\n",
	 0,
	 "b.yaml:2:8: there are no tasks\n"
	 "  tasks: {}\n"
	 "         ^"},
	{"tasks text", "b.yaml",
	 "version: 1\n"
	 "tasks: hello\n",
	 0,
	 "b.yaml:2:8: tasks must be a map, not the text \"hello\"\n"
	 "  tasks: hello\n"
	 "         ^"},
	{"unknown top", "b.yaml",
	 "version: 1\n"
	 "task:\n"
	 "  a: {run: x}\n",
	 0,
	 "b.yaml:2:1: unknown key \"task\" in the batch file; did you mean \"tasks\"?\n"
	 "  task:\n"
	 "  ^"},
	{"unknown key", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    retrys: 3\n",
	 0,
	 "b.yaml:5:5: unknown key \"retrys\" in task \"a\"; did you mean \"retries\"?\n"
	 "      retrys: 3\n"
	 "      ^"},
	{"run number", "b.json", "{\"version\": 1, \"tasks\": {\"a\": {\"run\": 7}}}\n",
	 0,
	 "b.json:1:39: run must be a list (argv) or a text (for the shell), not the "
	 "number 7\n"
	 "  {\"version\": 1, \"tasks\": {\"a\": {\"run\": 7}}}\n"
	 "                                        ^"},
	{"unknown key far", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    zzz: 3\n",
	 0,
	 "b.yaml:5:5: unknown key \"zzz\" in task \"a\"; it may have: resources, "
	 "retries, timeout, grace, priority, cache, metrics, code, inputs, outputs, env, "
	 "tags, secrets, python, isolation, cflags, run, params, sweep, needs, call, "
	 "args, kwargs, name\n"
	 "      zzz: 3\n"
	 "      ^"},
	{"unknown policy", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "policy: {max_failure: 3}\n",
	 0,
	 "b.yaml:5:10: unknown key \"max_failure\" in policy; did you mean "
	 "\"max_failures\"?\n"
	 "  policy: {max_failure: 3}\n"
	 "           ^"},
	{"unknown defaults", "b.yaml",
	 "version: 1\n"
	 "defaults: {run: x}\n"
	 "tasks: {a: {run: y}}\n",
	 0,
	 "b.yaml:2:12: unknown key \"run\" in defaults; it may have: resources, retries, "
	 "timeout, grace, priority, cache, metrics, code, inputs, outputs, env, tags, "
	 "secrets, python, isolation, cflags\n"
	 "  defaults: {run: x}\n"
	 "             ^"},
	{"unknown cache", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    cache: {modes: off}\n",
	 0,
	 "b.yaml:5:13: unknown key \"modes\" in cache; did you mean \"mode\"?\n"
	 "      cache: {modes: off}\n"
	 "              ^"},
	{"wrong retries", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    retries: often\n",
	 0,
	 "b.yaml:5:14: retries must be a whole number, not the text \"often\"\n"
	 "      retries: often\n"
	 "               ^"},
	{"wrong retries quoted", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    retries: \"3\"\n",
	 0,
	 "b.yaml:5:14: retries must be a whole number, not the text \"3\"\n"
	 "      retries: \"3\"\n"
	 "               ^"},
	{"negative retries", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    retries: -1\n",
	 0,
	 "b.yaml:5:14: retries must be from 0 to 1000000, not -1\n"
	 "      retries: -1\n"
	 "               ^"},
	{"huge retries", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    retries: 99999999999999999999\n",
	 0,
	 "b.yaml:5:14: retries must be from 0 to 1000000, not 99999999999999999999\n"
	 "      retries: 99999999999999999999\n"
	 "               ^"},
	{"wrong timeout", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    timeout: 10 minutes\n",
	 0,
	 "b.yaml:5:14: timeout must be a duration, like 90s, 10m or 1h30m (units ms s m "
	 "h d w), not the text \"10 minutes\"\n"
	 "      timeout: 10 minutes\n"
	 "               ^"},
	{"forgotten timeout", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    timeout:\n",
	 0,
	 "b.yaml:5:13: timeout must be a duration, like 90s, 10m or 1h30m (units ms s m "
	 "h d w), not nothing\n"
	 "      timeout:\n"
	 "              ^"},
	{"wrong memory", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    resources: {memory: lots}\n",
	 0,
	 "b.yaml:5:25: memory must be a size, like 512MiB or 1GiB, not the text "
	 "\"lots\"\n"
	 "      resources: {memory: lots}\n"
	 "                          ^"},
	{"wrong gpus", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    resources: {gpus: 0.5}\n",
	 0,
	 "b.yaml:5:23: gpus must be a whole number, not the number 0.5\n"
	 "      resources: {gpus: 0.5}\n"
	 "                        ^"},
	{"cpus decimals", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    resources: {cpus: 0.0001}\n",
	 0,
	 "b.yaml:5:23: cpus has three decimals at most, unlike 0.0001\n"
	 "      resources: {cpus: 0.0001}\n"
	 "                        ^"},
	{"wrong mode", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    cache: {mode: never}\n",
	 0,
	 "b.yaml:5:19: mode must be use, off or force, not the text \"never\"\n"
	 "      cache: {mode: never}\n"
	 "                    ^"},
	{"cache text", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    cache: off\n",
	 0,
	 "b.yaml:5:12: cache must be a map, like {mode: off}\n"
	 "      cache: off\n"
	 "             ^"},
	{"wrong env", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    env: {A: [1]}\n",
	 0,
	 "b.yaml:5:14: A must be a text, not a list\n"
	 "      env: {A: [1]}\n"
	 "               ^"},
	{"env list", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    env: [A=1]\n",
	 0,
	 "b.yaml:5:10: env must be a map, not a list\n"
	 "      env: [A=1]\n"
	 "           ^"},
	{"env name", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    env: {A=B: 1}\n",
	 0,
	 "b.yaml:5:11: \"A=B\" cannot be a name in env\n"
	 "      env: {A=B: 1}\n"
	 "            ^"},
	{"tag that --tag could not name", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    tags: {A=B: 1}\n",
	 0,
	 "b.yaml:5:12: \"A=B\" cannot be a name in tags\n"
	 "      tags: {A=B: 1}\n"
	 "             ^"},
	{"run map", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: {cmd: x}\n",
	 0,
	 "b.yaml:4:10: run must be a list (argv) or a text (for the shell), not a map\n"
	 "      run: {cmd: x}\n"
	 "           ^"},
	{"run missing", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    env: {A: b}\n",
	 0,
	 "b.yaml:3:3: task \"a\" has neither run (a list or a shell string) nor call "
	 "(FILE:FUNCTION)\n"
	 "    a:\n"
	 "    ^"},
	{"run empty", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: []\n",
	 0,
	 "b.yaml:4:10: run is empty\n"
	 "      run: []\n"
	 "           ^"},
	{"run blank", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: \"  \"\n",
	 0,
	 "b.yaml:4:10: run is empty\n"
	 "      run: \"  \"\n"
	 "           ^"},
	{"run item map", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: [echo, {a: b}]\n",
	 0,
	 "b.yaml:4:17: an item of run must be a text, not a map\n"
	 "      run: [echo, {a: b}]\n"
	 "                  ^"},
	{"run item nothing", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run:\n"
	 "      - echo\n"
	 "      -\n",
	 0,
	 "b.yaml:6:8: an item of run must be a text, not nothing\n"
	 "        -\n"
	 "         ^"},
	{"call", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    call: report.rs:report\n"
	 "    args: [1]\n",
	 0,
	 "b.yaml:4:11: \"report.rs\" is neither Python (.py) nor C (.c): those have "
	 "functions that can be called\n"
	 "      call: report.rs:report\n"
	 "            ^"},
	{"args", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    args: [1]\n",
	 0,
	 "b.yaml:5:5: args is for calls: a command has its arguments in run\n"
	 "      args: [1]\n"
	 "      ^"},
	{"secrets with a value", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    secrets: {TOKEN: abc}\n",
	 0,
	 "b.yaml:5:14: secrets must be a list of names, like [API_TOKEN], not a map: the "
	 "values stay with the workers\n"
	 "      secrets: {TOKEN: abc}\n"
	 "               ^"},
	{"secret that is a path", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    secrets: [TOKEN, ../keys/me.key]\n",
	 0,
	 "b.yaml:5:22: \"../keys/me.key\" cannot be a secret: a secret's name is 1 to "
	 "128 "
	 "of A-Z a-z 0-9 _ and does not begin with a digit\n"
	 "      secrets: [TOKEN, ../keys/me.key]\n"
	 "                       ^"},
	{"secret that is a number", "b.yaml",
	 "version: 1\n"
	 "defaults: {secrets: [3]}\n"
	 "tasks: {a: {run: x}}\n",
	 0,
	 "b.yaml:2:22: \"3\" cannot be a secret: a secret's name is 1 to 128 of A-Z a-z "
	 "0-9 _ and does not begin with a digit\n"
	 "  defaults: {secrets: [3]}\n"
	 "                       ^"},
	{"secret of everybody", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a: {run: x, secrets: [CASHET_KEY]}\n",
	 0,
	 "b.yaml:3:25: \"CASHET_KEY\" cannot be a secret: variables that begin with "
	 "CASHET_ are set by cashet\n"
	 "    a: {run: x, secrets: [CASHET_KEY]}\n"
	 "                          ^"},
	{"secret in env", "b.yaml",
	 "version: 1\n"
	 "defaults: {secrets: [USER, TOKEN]}\n"
	 "tasks:\n"
	 "  a: {run: x, env: {TOKEN: abc}}\n",
	 0,
	 "b.yaml:2:28: \"TOKEN\" is in env of task \"a\" too: leave it in one of the "
	 "two\n"
	 "  defaults: {secrets: [USER, TOKEN]}\n"
	 "                             ^"},
	{"secret twice", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a: {run: x, secrets: [B, A, B]}\n",
	 0,
	 "b.yaml:3:31: \"B\" is in secrets twice\n"
	 "    a: {run: x, secrets: [B, A, B]}\n"
	 "                                ^"},
	{"task name", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a.b: {run: x}\n",
	 0,
	 "b.yaml:3:3: \"a.b\" cannot be the name of a task: a name is 1 to 128 of A-Z "
	 "a-z 0-9 _ - and does not begin with -\n"
	 "    a.b: {run: x}\n"
	 "    ^"},
	{"name in map", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    name: b\n",
	 0,
	 "b.yaml:5:11: the name of this task is its key, \"a\"\n"
	 "      name: b\n"
	 "            ^"},
	{"metrics best", "b.yaml",
	 "version: 1\n"
	 "tasks:\n"
	 "  a:\n"
	 "    run: x\n"
	 "    metrics: {from: m.json, best: {loss: low}}\n",
	 0,
	 "b.yaml:5:42: loss must be min or max, not the text \"low\"\n"
	 "      metrics: {from: m.json, best: {loss: low}}\n"
	 "                                           ^"},
};

Test(batch_schema_errors,
     a_key_or_value_that_the_schema_does_not_have_is_refused_with_its_position,
     .init = sample_begin, .fini = sample_end)
{
	sample_check_errors(rows, ARRAY_LEN(rows));
}
