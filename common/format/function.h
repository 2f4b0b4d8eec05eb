/* function.h - the canonical description of what a task runs. Its bytes are both what is hashed
 * (func_hash = SHA-256) and what a worker executes, so the two cannot differ.
 *
 * command, scheme 1, deterministic CBOR:
 *   ["cashet.function", 1, "command", RUN, ENV, PARAMS, INPUTS, OUTPUTS, METRICS, SALT, CODE]
 *   RUN      array of text (argv as written, with ${...}) or one text (shell string as written)
 *   ENV      map text -> text as written
 *   PARAMS   array of names, sorted bytewise; the values are in the arguments, in this order
 *   INPUTS   array of names, sorted bytewise; the contents are in the arguments, in this order
 *   OUTPUTS  array of [name, path], sorted by name
 *   METRICS  path or null
 *   SALT     text or null
 *   CODE     array of [path, executable (bool), scheme (1 = bytes), digest], sorted by path
 *
 * args_hash is the SHA-256 of the arguments, scheme 1:
 *   [1, [VALUE, ...], [[NAME, PLACEHOLDER], ...]]
 *   VALUE        see value.h
 *   NAME         text: the file name that the input keeps (for a list: of each member), or an
 *                array of texts, one per member of a list whose names differ
 *   PLACEHOLDER  byte string of CONTENT_SIZE bytes (content.h)
 *
 * Slots of a result: 0 the result itself, 1 standard output, 2 + k the k-th output by name. */
#pragma once

#include "common/format/content.h"
#include "common/format/value.h"

/* What a broker takes, in bytes of one task. */
#define FUNCTION_SIZE_MAX (1u << 20)
#define ARGS_SIZE_MAX (4u << 20)

enum { SLOT_RESULT = 0, SLOT_STDOUT = 1, SLOT_OUTPUT = 2 };

struct function_code {
	char *path; /* where it is laid out, relative to the task's directory */
	bool executable;
	uint8_t digest[DIGEST_SIZE];
};

struct function_pair {
	char *name, *value; /* env: name=value; outputs: name at path value */
};

struct function {
	char **argv; /* argc items, or NULL when shell is set */
	size_t argc;
	char *shell;
	struct function_pair *env, *outputs;
	size_t env_count, output_count;
	char **params, **inputs;
	size_t param_count, input_count;
	char *metrics; /* or NULL */
	char *salt;    /* or NULL */
	struct function_code *code;
	size_t code_count;
};

void function_fini(struct function *f);
/** function_encode() - canonical bytes of @f; sorts its env, params, inputs, outputs, code. */
void function_encode(struct buf *out, struct function *f);
/** function_decode() - everything checked: order, duplicates, paths inside. Return: 0 or 1. */
int function_decode(const void *data, size_t size, struct function *f);

struct args_input {
	char **names; /* name_count file names; 1 for a plain input or when all members share it */
	size_t name_count;
	bool name_is_array; /* encoded as an array of names */
	struct content content;
	size_t offset; /* of content within the encoded arguments; set by both directions */
};

struct args {
	struct value *values;
	size_t value_count;
	struct args_input *inputs;
	size_t input_count;
};

void args_fini(struct args *a);
void args_encode(struct buf *out,
		 struct args *a); /* fills inputs[].offset, from out's start */
int args_decode(const void *data, size_t size, struct args *a);
