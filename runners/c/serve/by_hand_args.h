/* by_hand_args.h - arguments from call.json: docs/cli.md, "shell". */
#pragma once

#include "runners/c/serve/task.h"

/** by_hand_args() - the positional and named arguments of @t from @call, which json_value_read() has made; files
 * are below @dir. Return: 0; 1 if it is not as it should be: the task has failed. */
int by_hand_args(struct cashet_task *t, const char *dir, struct cashet_arg *call);
