/* batch.h - reads a batch file (YAML, JSON, JSONL), checks it whole, and feeds it to a builder.
 *
 * A bad file gives one clear error with file:line:column, the line and a caret, and nothing of it
 * reaches the builder's sink (JSONL excepted: it streams; a bad line fails, and the caller
 * discards the unsealed batch). No code runs, no template but ${...}. */
#pragma once

#include "client/builder.h"

enum batch_format { BATCH_AUTO, BATCH_YAML, BATCH_JSON, BATCH_JSONL };

struct batch_options {
	const char *
		path; /* "-" is standard input; paths inside are relative to its folder */
	enum batch_format format; /* AUTO: by extension, else by content */
	bool force, no_cache;	  /* --force, --no-cache: over every task's cache mode */
	const char *const *tags;  /* --tag k=v */
	size_t tag_count;
	bool private_env; /* send PATH, HOME, LANG, VIRTUAL_ENV with the functions */
	const char *
		memo_path; /* file that remembers (path, size, mtime, inode) -> digest, or NULL */
	/* Told what a describer or a file of code gives reason for, a line each; may be NULL. */
	void (*warn)(void *arg, const char *text);
	void *warn_arg;
	/* Called now and then while a slow pipe is read, see lines.h, or a describer runs; may be
	 * NULL. */
	int (*idle)(void *arg, struct err *e);
	void *idle_arg;
	/* Instead of the file: as in lines.h. @path is then its name for messages, and what paths
	 * inside begin at is the working directory. NULL: none. */
	int (*read)(void *arg, void *out, size_t size, size_t *gotp, struct err *e);
	void *read_arg;
};

struct batch; /* a checked file, expanded lazily */

/** batch_open() - parse and check everything: schema, references, cycles, sweeps, input files
 * (hashed here). For JSONL only the first line. Return: 0 or ERR_USAGE etc. in @e. */
int batch_open(struct batch **batchp, const struct batch_options *options, struct err *e);
void batch_free(struct batch *batch);
const char *batch_name(const struct batch *batch); /* or "" */
/** batch_task_total() - number of tasks, 0 when not known before the end (JSONL). */
uint64_t batch_task_total(const struct batch *batch);
/** batch_info() - for builder_new(); borrowed. */
const Cashet__BatchInfo *batch_info(const struct batch *batch);
/** batch_feed() - give all options, functions, groups, tasks and uploads to @b. Not the finish. */
int batch_feed(struct batch *batch, struct builder *b, struct err *e);
