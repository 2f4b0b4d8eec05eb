/* describe.h - what functions and scripts are, as the describer of their language says it.
 *
 * A describer is a program, `cashet-runner-LANGUAGE describe` (docs/runners.md). One process takes
 * many targets: say all that are wanted (describer_want()), then describer_run() once; whoever
 * learns of targets one by one (JSONL) does both for each, and equal targets cost nothing more.
 * What was described before is remembered in a file beside that of batch/memo.h, as long as
 * everything that the describer looked at is as it was; then no process is started.
 *
 * What cannot be described is no error of describer_run(): each target says it (ok, error), a
 * program that is not installed or that went wrong too.
 *
 * Part of libcashet: no shell, no signal handler, no child that the host could reap by accident is
 * relied on, and running out of memory is an error like any other. Thread: one at a time. */
#pragma once

#include "client/batch/arena.h"
#include "client/builder.h"
#include "common/format/call_args.h"
#include "common/format/source.h"

struct describer;

struct describe_options {
	const char *
		folder; /* absolute: where relative names of files begin, and where imports
			     * are looked for, behind the file's own folder (--root) */
	const char *
		memo_path; /* of batch/memo.h, to which ".calls" is added; NULL: no memo */
	uint64_t time_ns;  /* for one process; 0: 2 minutes and 100 ms for each target */
	/* Called a few times a second while a process is waited for; not 0 ends it, and is what
	 * describer_run() returns. May be NULL. */
	int (*idle)(void *arg, struct err *e);
	void *idle_arg;
};

struct describe_target {
	const char *language; /* "python", "c"; NULL: by the file's name, .py or .c */
	const char *file;     /* absolute, or relative to the folder */
	const char *function; /* NULL: all of the file, a script */
	const char
		*python; /* interpreter: a path, or a name in PATH; NULL: the describer's
			       * own choice, python3 in PATH */
	const char *const *flags; /* for a compiler, in order */
	size_t flag_count;
	bool canonical; /* with the canonical form; never from the memo */
};

struct described_file {	       /* to ship */
	const char *path;      /* where it is laid out */
	const char *full_path; /* where it is */
	uint64_t size;
	uint8_t digest[DIGEST_SIZE]; /* of the bytes that were described */
};

enum parameter_kind {
	PARAMETER_POSITIONAL, /* by position only */
	PARAMETER_ANY,
	PARAMETER_REST,	    /* *args */
	PARAMETER_KEYWORD,  /* by name only */
	PARAMETER_KEYWORDS, /* **kwargs */
};

struct described_parameter {
	const char *name;
	enum parameter_kind kind;
	bool required;
	const struct arg *value; /* of the default; NULL: none, or no literal */
};

struct described_warning { /* texts are never NULL; line and column 0: no place */
	const char *name, *subject, *message, *file;
	uint32_t line, column;
};

struct described {	    /* everything is the describer's, until describer_free() */
	const char *target; /* as people wrote it: "train.py:train" */
	bool ok;
	struct described_warning error; /* !ok; its subject is "" */
	bool no_program; /* !ok, since there is no describer, or no such interpreter */
	/* The rest is set if it is ok. */
	bool remembered;	 /* no process was started for it */
	struct source_unit unit; /* as in the source: source.h */
	const char *title;	 /* "train.py:train" */
	const char *module;	 /* to import, in Python; else NULL */
	const char *kind;	 /* "function", "generator", ..., "script" */
	const char *version; /* of the interpreter, "3.11.7", or of the compiler; "" */
	const struct described_file *files;
	size_t file_count;
	bool has_signature;
	const struct described_parameter *parameters;
	size_t parameter_count;
	bool exact; /* calls can be brought into one spelling by the parameters */
	const struct described_warning *warnings;
	size_t warning_count;
	const char *canonical; /* or NULL */
};

/** describer_new() - copies @options; touches nothing yet. Return: 0 or ERR_FAILED. */
int describer_new(struct describer **dp, const struct describe_options *options,
		  struct err *e);
void describer_free(struct describer *d);
/** describe_language() - that of a file by its name, "python" or "c"; NULL: none. Static. */
const char *describe_language(const char *file);
/** describe_split() - "FILE:NAME" at the last colon, if what is behind it is a name; else *namep is
 * NULL. Return: bytes of FILE. */
size_t describe_split(const char *target, const char **namep);
/** describer_want() - @target is copied. Equal ones have one number. Return: 0; ERR_USAGE if no
 * language is known for the file; ERR_FAILED. */
int describer_want(struct describer *d, const struct describe_target *target,
		   uint32_t *numberp, struct err *e);
/** describer_run() - describe what is wanted and has no answer yet. Return: 0 when each has one,
 * ok or not; ERR_FAILED out of memory; what idle() returned. */
int describer_run(struct describer *d, struct err *e);
/** describer_get() - the answer; NULL before describer_run(). */
const struct described *describer_get(const struct describer *d, uint32_t number);
/** describe_fail() - the error of one that is not ok, for people: what, why, next.
 * Return: ERR_USAGE; ERR_FAILED for no_program. */
int describe_fail(const struct described *d, struct err *e);

/* How arguments met the parameters. */
struct describe_binding {
	size_t given; /* keywords that the caller gave, in front of the defaults */
	/* Of an error: which argument is wrong; both unset if one is missing. */
	const char *keyword;
	bool has_position;
	size_t position;
};

/** describe_bind() - one spelling for all spellings of a call. If it is exact: parameters that can
 * be named are named, literal defaults are filled in, in *@args; what is by position only stays so
 * (and with it those in front of *args that has values). Values are moved, not copied; defaults
 * are borrowed from @d; new arrays are in @arena, so call_args_fini() must not be called.
 * Return: 0; ERR_USAGE if the function cannot be called so: @e says why, without a place;
 * ERR_FAILED. */
int describe_bind(const struct described *d, struct call_args *args, struct arena *arena,
		  struct describe_binding *binding, struct err *e);

/* ---- what is shipped ---- */

struct describe_source {
	const struct described *const *units;
	size_t unit_count;
	/* Further files of a command: code that is hashed by its tokens, ... Where a path is also
	 * that of a unit's file, the digest must be the same, and executable is said here. */
	const struct source_file *files;
	size_t file_count;
	/* In front of the paths of each unit's files, "lib/" or ""; NULL: nowhere. */
	const char *const *prefixes;
};

/** describe_source() - append the source blob; *@digest: its SHA-256. Return: 0; ERR_USAGE if two
 * files have one path, or it is too large; ERR_FAILED. */
int describe_source(struct buf *out, uint8_t digest[DIGEST_SIZE],
		    const struct describe_source *source, struct err *e);
/** describe_upload() - the files of one to @b, which takes each digest once. Not the blob. */
int describe_upload(const struct described *d, struct builder *b, struct err *e);
