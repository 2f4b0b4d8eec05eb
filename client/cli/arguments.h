/* arguments.h - the arguments of a function, as people type them:
 *
 *	3  0.5  true  null          as YAML types them; a text is whatever is none of these
 *	"3"  [1, 2]  {"a": 1}       JSON
 *	@FILE                       a file or a folder of ours
 *	ref:COMMIT                  the result of an earlier task: a commit, BATCH:INDEX, or a pin
 *
 * A text that looks like something else is written as JSON: '"3"', '"@home"'. */
#pragma once

#include "client/batch/arena.h"
#include "client/cli/cli.h"

struct arguments {
	struct cli *cli; /* connected, for ref:COMMIT */
	struct arena arena;
};

void arguments_fini(struct arguments *a);
/** argument_parse() - @text is borrowed. Return: 0 or the exit code, printed. */
int argument_parse(struct arguments *a, const char *text, struct cashet_arg *to);
/** argument_keyword() - "NAME=VALUE". Return: as above. */
int argument_keyword(struct arguments *a, const char *text, struct cashet_arg *to);
/** argument_json() - @text, which stands for a value as above, as batch files write it, for kwargs.
 * Return: 0 or the exit code, printed: references are none there. */
int argument_json(struct cli *cli, const char *text, struct buf *out);
