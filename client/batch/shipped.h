/* shipped.h - the code that goes with tasks: how each file of it is hashed, and the source blob
 * that says what was shipped (common/format/source.h).
 *
 * Of a command, `.py` files are hashed by what a describer says they mean, with all that they
 * import; C files by their tokens; all else by bytes. What cannot be read so is hashed by bytes too,
 * with a warning: it may run all the same. What a script imports is shipped with it, laid out
 * as it lies around the script. Of a call, the function is the source, and `code` beside it is
 * bytes.
 *
 * Equal code has one source, made once. Lives as long as the batch. */
#pragma once

#include "client/batch/files.h"
#include "client/describe/describe.h"
#include "common/format/function.h"

/* Each script of a folder is described with all that it reaches, which in a folder whose files know
 * each other is all of it: of a folder with more than this many, all are hashed by their bytes. */
#define SHIPPED_SCRIPTS_MAX 100

struct spec_code {	  /* a file of `code:` */
	const char *path; /* where it is laid out */
	struct files_member *file;
	bool by_bytes;		     /* as asked for */
	uint8_t scheme;		     /* enum code_scheme; set by shipped_code() */
	uint8_t digest[DIGEST_SIZE]; /* by that scheme */
};

struct shipped {		     /* what goes with a function */
	uint8_t digest[DIGEST_SIZE]; /* of the blob */
	void *blob;
	size_t size;
	const struct described **units;
	size_t unit_count;
	bool uploaded;
};

struct shipping {
	struct files *files;
	struct describer *describer;
	/* Told once per script and file; may be NULL. @text: one line. */
	void (*warn)(void *arg, const char *text);
	void *warn_arg;
	struct map known; /* of code to number in @items */
	struct shipped **items;
	uint32_t count, capacity;
	struct map warned; /* what has been warned of */
	uint32_t said;	   /* lines so far */
	bool no_program;   /* that has been said */
};

/** shipping_init() - @files and @warn of *@s are set by the caller; files outlives it. @options: its
 * folder is not looked at. Return: 0, ERR_FAILED. */
int shipping_init(struct shipping *s, const struct describe_options *options,
		  struct err *e);
void shipping_fini(struct shipping *s);
/** shipping_begin() - what was given to another builder counts for nothing. */
void shipping_begin(struct shipping *s);
/** shipping_warn() - what the describer warns of, once. */
void shipping_warn(struct shipping *s, const struct described *d);

/** shipped_crowded() - has this folder more than SHIPPED_SCRIPTS_MAX scripts? Says so, once. */
bool shipped_crowded(struct shipping *s, const struct files_item *item, const char *path);
/** shipped_is_script() - by its name. */
bool shipped_is_script(const char *name);
/** shipped_order() - of code, by path; for qsort(). */
int shipped_order(const void *a, const void *b);
/** shipped_want() - scripts among @code are wanted from the describer, nothing more: whoever says
 * all that a batch needs, and then shipped_code(), starts one process. Return: 0, ERR_FAILED. */
int shipped_want(struct shipping *s, const struct spec_code *code, uint32_t count,
		 struct err *e);
/** shipped_code() - sets scheme and digest of each file of a command's @code, which is in
 * shipped_order(). *@shippedp: NULL if
 * all is hashed by bytes. Return: 0; ERR_USAGE, without place; ERR_FAILED, ERR_DETACHED. */
int shipped_code(struct shipping *s, struct spec_code *code, uint32_t count,
		 struct shipped **shippedp, struct err *e);
/** shipped_bytes() - the same for what lies beside a call. */
void shipped_bytes(struct spec_code *code, uint32_t count);
/** shipped_call() - of a described function. @number: the describer's. Return: as shipped_code(). */
int shipped_call(struct shipping *s, uint32_t number, struct shipped **shippedp,
		 struct err *e);
/** shipped_upload() - give the blob and all that is in it to @b, once. */
int shipped_upload(struct shipped *s, struct builder *b, struct err *e);
