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
 *   CODE     array of [path, executable (bool), scheme, digest], sorted by path; the digest is,
 *            by scheme: 1 of the bytes, 2 the identity of a Python script (docs/runners.md),
 *            3 of the tokens of a C file (c_tokens.h). The bytes behind 2 and 3 are in the
 *            source (source.h).
 *
 * call, scheme 1: a function by source.
 *   ["cashet.function", 1, LANGUAGE, IDENTITY, VERSION, ENV, SALT, CODE]
 *   LANGUAGE "python", "c": that of a runner, which said the IDENTITY (32 bytes)
 *   VERSION  of the interpreter, text, if the task chose one; or null
 *   CODE     further files beside the source
 * Its arguments are scheme 2: call_args.h.
 *
 * args_hash of a command is the SHA-256 of its arguments, scheme 1:
 *   [1, [VALUE, ...], [[NAME, PLACEHOLDER], ...]]
 *   VALUE        see value.h
 *   NAME         text: the file name that the input keeps (for a list: of each member), or an
 *                array of texts, one per member of a list whose names differ
 *   PLACEHOLDER  byte string of CONTENT_SIZE bytes (content.h)
 *
 * Slots of a result: 0 the result itself, 1 standard output, 2 + k the k-th output by name. */
#pragma once

#include "common/format/call_args.h"
#include "common/format/value.h"

/* What a broker takes, in bytes of one task. */
#define FUNCTION_SIZE_MAX (1u << 20)
#define ARGS_SIZE_MAX (4u << 20)

enum { SLOT_RESULT = 0, SLOT_STDOUT = 1, SLOT_OUTPUT = 2 };

enum code_scheme { CODE_BYTES = 1, CODE_PYTHON = 2, CODE_C = 3 };

struct function_code {
	char *path; /* where it is laid out, relative to the task's directory */
	bool executable;
	uint8_t scheme; /* enum code_scheme; 0 is encoded as CODE_BYTES */
	uint8_t digest[DIGEST_SIZE];
};

struct function_pair {
	char *name, *value; /* env: name=value; outputs: name at path value */
};

struct function {
	/* of a call; NULL: a command, of which the rest up to env is not set */
	char *language;
	uint8_t identity[DIGEST_SIZE];
	char *version; /* or NULL */
	/* of a command; params to metrics are empty for calls */
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

static inline bool function_is_call(const struct function *f)
{
	return f->language;
}

/** function_has_source() - some of what it runs is in a source, not in the description. */
bool function_has_source(const struct function *f);
void function_fini(struct function *f);
/** function_encode() - canonical bytes of @f; sorts its env, params, inputs, outputs, code. */
void function_encode(struct buf *out, struct function *f);
/** function_decode() - everything checked: order, duplicates, paths inside. Return: 0 or 1. */
int function_decode(const void *data, size_t size, struct function *f);

struct args_input {
	char *label; /* of a call: where it stands, "lr", "data.train", "0"; else NULL */
	char **names; /* name_count file names; 1 for a plain input or when all members share it */
	size_t name_count;
	bool name_is_array; /* encoded as an array of names */
	struct content content;
	size_t offset; /* of content within the encoded arguments; set by both directions */
};

/* Of a call, values stay empty (look at call), and inputs are its references and files, in the
 * order of the bytes, each under one name: of the file, or "value". */
struct args {
	struct call_args *call; /* NULL: of a command */
	struct value *values;
	size_t value_count;
	struct args_input *inputs;
	size_t input_count;
};

void args_fini(struct args *a);
void args_encode(struct buf *out,
		 struct args *a); /* fills inputs[].offset, from out's start */
int args_decode(const void *data, size_t size, struct args *a);
/** args_may_have_inputs() - false: there surely is none, which is mostly so. Looks at the bytes. */
bool args_may_have_inputs(const void *data, size_t size);
