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
/** argument_json() - "NAME=VALUE" as batch files write it, for kwargs. Return: 0 or the exit code,
 * printed. */
int argument_json(struct arguments *a, const char *text, struct buf *out);
/** argument_special() - ref:COMMIT or @FILE as batch files write it. @c: for the former.
 * Return: 0; an exit code, @e says why. */
int argument_special(struct cashet *c, const char *text, struct json *j,
		     struct cashet_error *e);
/** argument_is_ref() - does it need a connection? */
bool argument_is_ref(const char *text);
