/* substitute.h - fills in ${...}: parameters, paths of inputs, paths of outputs.
 *
 * As an argv item of its own an input that stands for many files becomes one item per file; inside
 * a longer item, and in environment values, its paths are joined by spaces. In a shell string each
 * value is quoted for the shell. Substitution happens once: what is filled in is not scanned. */
#pragma once

#include "common/err.h"
#include "common/format/function.h"

/* Where an input was laid out, relative to the task's directory. */
struct input_paths {
	char **paths;
	size_t count;
	bool is_list;
	char *list; /* the file that names them, or NULL */
};

struct substitution {
	const struct function *function;
	const struct args *args;	  /* values in the order of function->params */
	const struct input_paths *inputs; /* in the order of function->inputs */
};

/** substitute_command() - append the argv of the task to @strings, each with its NUL; a shell string
 * becomes /bin/sh -c TEXT. Return: 0; ERR_USAGE in @e for an unknown ${...} or an empty argv. */
int substitute_command(struct buf *strings, uint32_t *argcp, const struct substitution *s,
		       struct err *e);
/** substitute_env() - append NAME=VALUE strings of function->env. As above. */
int substitute_env(struct buf *strings, uint32_t *envcp, const struct substitution *s,
		   struct err *e);
/** shell_quote() - append @text as one word of a shell. */
void shell_quote(struct buf *out, const char *text, size_t size);
