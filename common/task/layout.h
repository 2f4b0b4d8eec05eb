/* layout.h - puts what a task reads into its directory:
 *
 *	PATH                        each code entry at its own path, and what scripts among them import
 *	inputs/NAME/FILE            a file; a folder's files below inputs/NAME/FILE/
 *	inputs/NAME/PATH            the outputs of a task with several, at the paths it declared
 *	inputs/NAME/000000/FILE     members of a list (000000/PATH for members with several outputs)
 *	inputs/NAME.list            paths of the members, one per line
 *	inputs/NAME/FILE -> PATH    an input that every worker has: a symbolic link, made last
 *
 * and makes the folders that its outputs are in. The directory is ours alone until the task starts
 * and no link is in it before the last step, so no path can lead out of it. */
#pragma once

#include "common/format/source.h"
#include "common/task/substitute.h"

/* Where bytes come from: the cache of inputs, or a test's table. */
struct layout_source {
	void *arg;
	/** Return: 0 and a file (offset 0, the caller closes it); LAYOUT_* otherwise, with @e->what. */
	int (*open)(void *arg, const uint8_t digest[DIGEST_SIZE], int *fdp,
		    uint64_t *sizep, struct err *e);
};

enum layout_result {
	LAYOUT_OK,
	LAYOUT_MISSING, /* the store does not have @missing */
	LAYOUT_BAD,	/* malformed, contradictory: this can never run */
	LAYOUT_ABSENT, /* an input or secret of this machine is not there: the task's failure here */
	LAYOUT_FULL, /* no space on this worker */
	LAYOUT_CANCELLED,
	LAYOUT_ERROR, /* anything else that is no fault of the task */
};

struct layout_extern {
	uint32_t input, member;
	char *path;
};

struct layout {
	const struct function *function;
	const struct args *args;
	const struct layout_extern *externs;
	size_t extern_count;
	const struct source
		*shipped; /* its code that is not described by its bytes; or NULL */
	const char *dir;  /* the task's directory: empty, absolute */
	const struct layout_source *source;
	/* out: */
	struct input_paths *inputs; /* function->input_count of them; layout_fini() */
	uint8_t missing[DIGEST_SIZE];
	int dir_fd;
};

enum layout_result layout_run(struct layout *l, struct err *e);
void layout_fini(struct layout *l);

struct layout_file {
	const char *path;
	bool executable;
	const uint8_t *digest; /* of its bytes */
};
/** layout_files() - files at their paths below @dir (absolute, nobody else's).
 * @missing: DIGEST_SIZE bytes, of LAYOUT_MISSING. */
enum layout_result layout_files(const char *dir, const struct layout_file *files,
				size_t count, const struct layout_source *source,
				uint8_t *missing, struct err *e);
/** layout_folder() - the files of a tree blob into @dir (absolute, empty, nobody else's).
 * @missing: DIGEST_SIZE bytes, of LAYOUT_MISSING; or NULL. */
enum layout_result layout_folder(const char *dir, const uint8_t digest[DIGEST_SIZE],
				 const struct layout_source *source, uint8_t *missing,
				 struct err *e);
