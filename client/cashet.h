/* cashet.h - libcashet: submit work to cashet and read its results.
 *
 * What every function here has in common:
 *
 *   - Return: 0, or a positive enum cashet_code; then @error (which may be NULL) says what
 *     happened, why, and what to do next. Running out of memory is an error like any other.
 *     Nothing here prints, exits, changes the working directory or installs signal handlers.
 *   - Text is NUL-terminated UTF-8. Times are nanoseconds, wall-clock times milliseconds since
 *     1970. Pointers that are passed in are borrowed until the call returns, unless said
 *     otherwise. Structs are zeroed by the caller before filling: zero is the default everywhere.
 *   - Batches are named by text: 64 hexadecimal digits, or any unique prefix of 4 or more; NULL or
 *     "" is the newest batch of the store. Digests and commits are 64 hexadecimal digits.
 *   - One handle belongs to one thread at a time; different handles are independent. A call that
 *     waits gives up when options.interrupted says so, then with CASHET_DETACHED. After fork()
 *     a child must not use its parent's handles.
 *   - Durability: what was acknowledged is on the broker's disk. A batch that was accepted goes on
 *     without us: handles may be closed, processes may die, brokers may be restarted.
 */
#ifndef CASHET_H
#define CASHET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CASHET_API __attribute__((visibility("default")))
#define CASHET_HEX_SIZE 65 /* 64 digits and the NUL */

struct cashet; /* a connection to a broker */

enum cashet_code { /* the exit codes of the programs too */
		   CASHET_OK = 0,
		   CASHET_FAILED =
			   1, /* tasks failed, or any failure without a row of its own */
		   CASHET_USAGE = 2,	   /* a bad argument, a bad batch file */
		   CASHET_UNREACHABLE = 3, /* no broker answers */
		   CASHET_NOT_ALLOWED =
			   4, /* keys: unknown, revoked, or not trusted for this */
		   CASHET_NOT_FOUND = 5,
		   CASHET_AMBIGUOUS = 6, /* several match a prefix; @what lists them */
		   CASHET_TIMED_OUT = 7,
		   CASHET_DETACHED =
			   130, /* interrupted; the batch, if accepted, goes on */
};

struct cashet_error {
	int code; /* enum cashet_code */
	char what
		[1024]; /* what and why; may hold several lines; may quote strangers: escape it */
	char next[512]; /* what to do next, or "" */
};

/* ---- opening ---- */

struct cashet_options {
	/* Where. In this order: @broker, $CASHET_BROKER, @store, $CASHET_DIR, "./.cashet". */
	const char *broker; /* tcp://HOST:PORT or ipc://PATH */
	const char *
		store; /* a store directory: its broker, started on demand (private broker) */
	const char *
		key_file; /* our secret key, for tcp; NULL: $CASHET_KEY, else the only one */
	bool insecure;	  /* tcp without keys; also $CASHET_INSECURE=1 */
	bool must_exist; /* a store directory that is not there is CASHET_NOT_FOUND, not created */
	const char *name;    /* of this program, for people; NULL: "libcashet" */
	uint64_t connect_ns; /* give up after; 0: 10 s */
	/* Return before the broker has answered, or is even looked for: the first call that needs
	 * it says what cashet_open() would have, and saves a round trip. */
	bool no_wait;
	bool (*interrupted)(
		void *arg); /* asked while waiting and after signals; may be NULL */
	void *interrupted_arg;
};

/** cashet_open() - find the broker, connect, and agree on the protocol.
 * @cp: set on success only; cashet_close() it. */
CASHET_API int cashet_open(struct cashet **cp, const struct cashet_options *options,
			   struct cashet_error *error);
/** cashet_close() - NULL is fine. What was accepted goes on; what was not is discarded. */
CASHET_API void cashet_close(struct cashet *c);
/** cashet_version() - of the library: "0.1.0". Static. Thread: any. */
CASHET_API const char *cashet_version(void);
/** cashet_where() - the URL of the broker that @c talks to; borrowed. */
CASHET_API const char *cashet_where(const struct cashet *c);

/* ---- submitting ---- */

enum cashet_value_type {
	CASHET_BOOL,
	CASHET_INT,
	CASHET_UINT, /* for values above INT64_MAX; smaller ones are the same as CASHET_INT */
	CASHET_DOUBLE, /* finite */
	CASHET_STRING,
};

struct cashet_value {
	enum cashet_value_type type;
	/* in results, of CASHET_STRING: an argument of a call that is no text (null, a list, a map, bytes,
	 * a reference), as people read it; ignored where tasks are submitted */
	bool is_written;
	union {
		bool boolean;
		int64_t i;
		uint64_t u;
		double d;
		const char *text;
	};
};

struct cashet_param {
	const char *name;
	struct cashet_value value; /* ${p.NAME} in argv, shell and env */
};

enum cashet_content_type {
	CASHET_CONTENT_NONE,
	CASHET_CONTENT_FILE,
	CASHET_CONTENT_EXEC, /* a file with its executable bit */
	CASHET_CONTENT_TREE, /* a folder */
	CASHET_CONTENT_LIST,
	CASHET_CONTENT_RESULT,	 /* the manifest of a task with declared outputs */
	CASHET_CONTENT_JSON = 8, /* what a call returned, as JSON */
	CASHET_CONTENT_PICKLE =
		9, /* what a call returned, pickled by Python: never unpickle
				    * what you do not trust */
};

struct cashet_pair {
	const char *key, *value;
};

/* A task's output as an argument of another: an edge of the DAG. */
struct cashet_ref {
	const char *task; /* by name, within the same call; NULL: by @index */
	uint32_t index;	  /* of the task within the same call */
	const char *
		output; /* one named output; "stdout"; NULL: the result (its outputs, or its
			     * standard output when it declares none) */
};

enum cashet_source_kind {
	CASHET_SOURCE_FILE, /* @path: a local file or folder; uploaded, keeps its name */
	CASHET_SOURCE_REF,  /* @ref */
	CASHET_SOURCE_BLOB, /* @digest: in the store already; called @as */
	CASHET_SOURCE_EXTERN, /* @path exists on every worker; identified by the text @as */
};

struct cashet_source {
	enum cashet_source_kind kind;
	const char *path;
	const char
		*as; /* BLOB of a call: a file of this name; NULL: the value that it is */
	const char *digest;
	bool executable;		  /* BLOB */
	enum cashet_content_type content; /* BLOB: what a call returned; NONE: a file */
	struct cashet_ref ref;
};

struct cashet_input { /* ${inputs.NAME} */
	const char *name;
	const struct cashet_source
		*sources; /* several: the input is a list, in this order */
	size_t source_count;
	bool is_list; /* also when it has only one source, or none */
};

/* A value for a function by source. What differs never is the same argument: an integer 1, a float 1,
 * the text "1" and a result that is 1 are four. */
enum cashet_arg_type {
	CASHET_ARG_NULL,
	CASHET_ARG_BOOL,
	CASHET_ARG_INT,
	CASHET_ARG_FLOAT, /* any, bit by bit; all NaN are one */
	CASHET_ARG_TEXT,
	CASHET_ARG_BYTES,
	CASHET_ARG_LIST,
	CASHET_ARG_MAP,	   /* items have names; their order does not count */
	CASHET_ARG_SOURCE, /* a file, the result of a task, ... */
};

struct cashet_arg {
	enum cashet_arg_type type;
	const char *name; /* keyword of a call, key of a map; else not looked at */
	size_t count;	  /* BYTES, LIST, MAP */
	union {
		bool boolean;
		int64_t i;
		double d;
		const char *text;
		const void *data;
		const struct cashet_arg *items;
		struct cashet_source source;
	};
};

struct cashet_code_entry { /* part of the function: laid out in the task's directory and hashed */
	const char *path; /* local file or folder */
	const char *as;	  /* where in the task's directory; NULL: its base name */
};

enum cashet_cache { CASHET_CACHE_USE, CASHET_CACHE_OFF, CASHET_CACHE_FORCE };

struct cashet_task {
	const char *name;	 /* for people and for references; NULL: "task" */
	const char *const *argv; /* argc items, or NULL when @shell is set */
	size_t argc;
	const char *shell; /* for sh -c */
	/* Or a call, instead of argv and shell, params, inputs, outputs and metrics: a function by
	 * source, "train.py:train" or "train.c:train". The file is described here, and shipped
	 * with what it imports or includes; its identity is what it means. */
	const char *call;
	const struct cashet_arg *args, *kwargs; /* by position; by name */
	size_t arg_count, kwarg_count;
	const char *python;	   /* interpreter of a call; NULL: python3 */
	const char *const *cflags; /* of a call of C; they count */
	size_t cflag_count;
	bool fork; /* each call in a fresh child of its runner */
	const struct cashet_code_entry *code;
	size_t code_count;
	const struct cashet_param *params;
	size_t param_count;
	const struct cashet_input *inputs;
	size_t input_count;
	const struct cashet_pair *outputs; /* name -> path within the task's directory */
	size_t output_count;
	const struct cashet_pair *env;
	size_t env_count;
	const struct cashet_ref
		*needs; /* tasks that must finish first; only task or index */
	size_t need_count;
	const char *metrics;	 /* path of a JSON object that the task writes, or NULL */
	const char *const *best; /* "val_loss:min" */
	size_t best_count;
	const struct cashet_pair *tags;
	size_t tag_count;
	uint32_t retries;
	uint64_t timeout_ns; /* 0: none */
	uint64_t grace_ns;   /* between SIGTERM and SIGKILL; 0: 5 s */
	int32_t priority;
	const struct cashet_resource *resources; /* none: one cpu */
	size_t resource_count;
	enum cashet_cache cache;
	uint64_t ttl_s;	  /* 0: for ever */
	const char *salt; /* part of the identity, or NULL */
	/* Names of variables whose values the worker has (docs/batch-files.md); not identity. */
	const char *const *secrets;
	size_t secret_count;
};

struct cashet_resource {
	const char
		*name; /* "cpus", "gpus", "memory" or one that workers are started with */
	double amount; /* memory: bytes */
};

struct cashet_submit_options {
	const char
		*name; /* of the batch; cashet_submit_file(): instead of the file's own */
	const struct cashet_pair
		*tags; /* of the batch; cashet_submit_file(): of every task */
	size_t tag_count;
	uint32_t max_failures, max_parallel; /* 0: no limit */
	bool force, no_cache;		     /* over every task's cache mode */
	/* Return once everything has been sent, not once it is durable. cashet_wait() then returns
	 * with the results of a batch that is all hits after one round trip; cashet_sync() waits
	 * for the acknowledgement. Until then the batch may be lost with this process. */
	bool no_sync;
	const char *
		format; /* cashet_submit_file(): "yaml", "json", "jsonl"; NULL: by its name */
	/* Told what is no error but may be a mistake: code that cannot be followed, a file that is
	 * hashed by its bytes although it looks like code. One line; may be NULL. */
	void (*warned)(void *arg, const char *text);
	void *warned_arg;
};

/** cashet_submit_many() - submit tasks as one batch, all or nothing.
 * @tasks:   1 to 4294967294 of them; references may point forwards; cycles are refused
 * @options: may be NULL
 * @batch:   its name, set on success
 *
 * Files are hashed and those that the store lacks are uploaded first. Durable on return, unless
 * options->no_sync. A batch that was submitted before runs only what is not in the cache. */
CASHET_API int cashet_submit_many(struct cashet *c, const struct cashet_task *tasks,
				  size_t count,
				  const struct cashet_submit_options *options,
				  char batch[CASHET_HEX_SIZE],
				  struct cashet_error *error);
/** cashet_submit() - one task; its index in the batch is 0. */
CASHET_API int cashet_submit(struct cashet *c, const struct cashet_task *task,
			     const struct cashet_submit_options *options,
			     char batch[CASHET_HEX_SIZE], struct cashet_error *error);
/** cashet_submit_file() - a batch file, see docs/batch-files.md. @path "-" is standard input.
 * A bad file is CASHET_USAGE, with line, column and a caret, and nothing of it is submitted. */
CASHET_API int cashet_submit_file(struct cashet *c, const char *path,
				  const struct cashet_submit_options *options,
				  char batch[CASHET_HEX_SIZE],
				  struct cashet_error *error);
#define CASHET_AGAIN (-1)

struct cashet_stream { /* a batch that is made as it is read: JSONL, or what options->format says */
	const char *name; /* for messages: NAME:LINE:COLUMN */
	/** Up to @size bytes to @out; *gotp is how many, 0 at the end. Return: 0; an enum
	 * cashet_code and @error, which ends the submission with that: nothing is submitted;
	 * CASHET_AGAIN: nothing has come for now. It should wait for a while first, but not long:
	 * in between the connection is looked after. */
	int (*read)(void *arg, void *out, size_t size, size_t *gotp,
		    struct cashet_error *error);
	void *arg;
};
/** cashet_submit_stream() - as cashet_submit_file(), of any length in bounded memory if it is JSONL.
 * Paths in it are relative to the working directory. The callback must not use the handle. */
CASHET_API int cashet_submit_stream(struct cashet *c, const struct cashet_stream *stream,
				    const struct cashet_submit_options *options,
				    char batch[CASHET_HEX_SIZE],
				    struct cashet_error *error);
/** cashet_sync() - wait until the last batch of this handle is accepted and durable. */
CASHET_API int cashet_sync(struct cashet *c, struct cashet_error *error);

/* ---- describing: what a function by source is ---- */

struct cashet_describe {
	/* "train.py:train", "train.c:train", or "train.py": all of a script, as code: of a command.
	 * Relative to @folder. */
	const char *const *targets;
	size_t count;
	const char *
		folder; /* imports are looked for here too; NULL: the working directory */
	const char *python;	   /* interpreter; NULL: python3 */
	const char *const *cflags; /* of C */
	size_t cflag_count;
	bool canonical;			/* with the canonical form */
	bool (*interrupted)(void *arg); /* asked a few times a second; may be NULL */
	void *arg;
};

struct cashet_described_file {	 /* that is shipped */
	const char *path, *file; /* where it is laid out; where it is */
	uint64_t size;
	uint8_t digest[32];
};

struct cashet_package {
	const char *name, *version; /* version: NULL: nobody knows */
	bool counts;		    /* is part of the identity */
};

struct cashet_definition {		 /* that counts */
	const char *label, *kind, *path; /* path: "" if it is in no file alone */
	uint32_t line;			 /* 0: none */
	uint8_t digest[32];
};

struct cashet_warning { /* or an error; texts are not NULL; line and column 0: no place */
	const char *name, *subject, *message, *file;
	uint32_t line, column;
};

struct cashet_description {
	const char *target;
	bool ok;
	struct cashet_warning error; /* if it is not ok, and then nothing else is set */
	const char *language, *name, *kind,
		*version;      /* "python", "train.py:train", "function" */
	const char *signature; /* "(lr=0.5, *, epochs=3)"; NULL: not known */
	uint8_t hash[32],
		identity[32]; /* of the canonical form; with the packages: what it is */
	const struct cashet_described_file *files;
	const struct cashet_package *packages;
	const struct cashet_definition *definitions;
	const struct cashet_warning *warnings;
	size_t file_count, package_count, definition_count, warning_count;
	const char *canonical; /* if asked for */
};

struct cashet_descriptions {
	const struct cashet_description *items; /* in the order of the targets */
	size_t count;
};

/** cashet_describe() - what functions are, without a broker: nothing of them is run or imported. One
 * process for each language. @dp: cashet_descriptions_free() it.
 * Return: 0 also when a target cannot be described: see each. Thread: any. */
CASHET_API int cashet_describe(const struct cashet_describe *what,
			       struct cashet_descriptions **dp,
			       struct cashet_error *error);
CASHET_API void cashet_descriptions_free(struct cashet_descriptions *d);
/* cashet_describe_against(), with the history below: beside what a run had. */

/* ---- waiting ---- */

struct cashet_counts { /* the last six count ended tasks, each once */
	uint64_t total, waiting, ready, running;
	uint64_t cached, executed, deduplicated, failed, skipped, cancelled;
};

struct cashet_notice { /* an attempt that failed */
	uint32_t index;
	const char *name; /* of the task */
	const char *worker;
	const char *error;
	uint32_t attempt, attempts; /* this one, and how many there may be */
	bool final;		    /* the task has failed */
};

struct cashet_progress {
	const char *batch;
	struct cashet_counts counts;
	bool known; /* the broker has told us the counts at least once */
	bool ended;
	/* The first 20 ended tasks of a sweep all failed: cashet_retry() resumes, or cancel. */
	bool paused;
	const char *note; /* why it does not get on, for people; "": it does */
	bool connected;	  /* false while the broker is gone */
	const struct cashet_notice *notices; /* new ones since the last call */
	size_t notice_count;
	uint64_t notices_left_out;
};

struct cashet_wait_options {
	uint64_t timeout_ns; /* then CASHET_TIMED_OUT; 0: none */
	/* Called on every change, and at least every @interval_ns (0: 1 s). Everything in
	 * @progress is borrowed for the call, which may ask the handle for results and logs, but
	 * neither wait nor submit on it. Returning non-zero ends the wait, CASHET_DETACHED. */
	int (*progress)(void *arg, const struct cashet_progress *progress);
	void *arg;
	uint64_t interval_ns;
};

/** cashet_wait() - until every task of @batch has ended, through any restart of the broker.
 * @counts: filled in with what was known last, also on errors; may be NULL.
 * Return: 0 when it ended, whatever became of its tasks; CASHET_TIMED_OUT; others. */
CASHET_API int cashet_wait(struct cashet *c, const char *batch,
			   const struct cashet_wait_options *options,
			   struct cashet_counts *counts, struct cashet_error *error);

/* ---- results ---- */

enum cashet_status {
	CASHET_WAITING,
	CASHET_READY,
	CASHET_RUNNING,
	CASHET_COMPLETED,
	CASHET_TASK_FAILED,
	CASHET_SKIPPED, /* a task that it needs failed */
	CASHET_CANCELLED,
};
/** cashet_status_name() - "completed", "failed", ...: as in --json. Static. Thread: any. */
CASHET_API const char *cashet_status_name(enum cashet_status status);

struct cashet_content {
	enum cashet_content_type type;
	uint8_t digest[32]; /* zero when NONE */
	uint64_t size;	    /* bytes of the blob that the digest names */
};

struct cashet_output {
	const char *name, *path;
	struct cashet_content content;
};

struct cashet_metric {
	const char *name;
	bool is_text;
	const char *text;
	double number;
};

struct cashet_result {
	uint32_t index;
	const char *name; /* of the task: "train" */
	const struct cashet_param *
		params; /* in the order as submitted; those that are strings are not quoted */
	size_t param_count;
	enum cashet_status status;
	bool cached, deduplicated;
	uint32_t attempts; /* made for this batch: 0 for a hit */
	int exit_code; /* of the last attempt; -1: it did not exit by itself, or did not run */
	int term_signal; /* that killed it; 0: none */
	bool has_fingerprint, has_commit;
	uint8_t func_hash[32], args_hash[32], commit[32];
	struct cashet_content result;	     /* NONE unless completed */
	struct cashet_content output;	     /* standard output */
	struct cashet_content log;	     /* standard error */
	const struct cashet_output *outputs; /* by name */
	size_t output_count;
	const struct cashet_metric *metrics; /* by name */
	size_t metric_count;
	const char *const *best; /* metrics.best of the task: "val_loss:min" */
	size_t best_count;
	const char *worker; /* "" if none */
	uint64_t duration_ns;
	const char *error;	/* "" if none */
	uint32_t upstream;	/* SKIPPED: index of the task that failed */
	uint64_t ended_wall_ms; /* 0: not yet */
};

struct cashet_batch {
	char batch[CASHET_HEX_SIZE];
	const char *name, *file; /* "" if none */
	struct cashet_counts counts;
	bool ended, paused;
	const char *note; /* why it does not get on, for people; "" if it does */
	uint64_t submitted_wall_ms, ended_wall_ms;
};

struct cashet_results;

/** cashet_results_open() - begin to read the results of @batch, ended or not, in order of index.
 * Pages are fetched ahead; memory is bounded by two of them. cashet_results_close() it before
 * the handle. */
CASHET_API int cashet_results_open(struct cashet *c, const char *batch,
				   struct cashet_results **rp,
				   struct cashet_error *error);
/** cashet_results_batch() - as of the first page; borrowed from @r. */
CASHET_API const struct cashet_batch *
cashet_results_batch(const struct cashet_results *r);
/** cashet_results_next() - @resultp: borrowed until the next call on @r; NULL after the last. */
CASHET_API int cashet_results_next(struct cashet_results *r,
				   const struct cashet_result **resultp,
				   struct cashet_error *error);
/** cashet_results_close() - frees all that was borrowed from @r; NULL is fine. */
CASHET_API void cashet_results_close(struct cashet_results *r);
/** cashet_result_one() - the task @index of @batch; *@rp owns what *@resultp points to. */
CASHET_API int cashet_result_one(struct cashet *c, const char *batch, uint32_t index,
				 struct cashet_results **rp,
				 const struct cashet_result **resultp,
				 struct cashet_error *error);

struct cashet_name {
	const char *name; /* of tasks */
	struct cashet_counts counts;
};
struct cashet_by_name {
	const struct cashet_name *items; /* in the order of their first tasks */
	size_t count;
	bool too_many; /* there are more than was asked for: @items are not all */
};

/** cashet_by_name() - how the tasks of each name ended, without reading what they resulted in.
 * @max: so many names, at most. Free *@byp. */
CASHET_API int cashet_by_name(struct cashet *c, const char *batch, uint32_t max,
			      struct cashet_by_name **byp, struct cashet_error *error);
CASHET_API void cashet_by_name_free(struct cashet_by_name *by);

/* ---- what groups of tasks have in common ---- */

struct cashet_grouping {
	const char *const *by; /* names of parameters; none: all tasks are one group */
	size_t by_count;
	bool median; /* which keeps all numbers meanwhile */
};

struct cashet_summary { /* of the numbers of a metric; NaN where there is none */
	uint64_t n;	/* how many */
	double mean;
	double std; /* of a sample (n - 1); of two numbers or more */
	double min, max, sum;
	double median; /* if asked for */
};

struct cashet_group {
	const struct cashet_value *values; /* of the parameters, in their order */
	uint64_t tasks, completed;
	const struct cashet_summary
		*metrics; /* as cashet_groups.metrics; of completed tasks */
};

struct cashet_grouped_metric {
	const char *name;
	uint64_t numbers; /* of all groups; and what is left out of them: */
	uint64_t texts, not_finite;
	uint32_t first;	   /* the first task that is left out so, */
	const char *shown; /* and what it says */
};

struct cashet_groups {
	/* By the first parameter, then the second, ...: by value if all its values are numbers, else
	 * as they first came. 1 and 1.0 are one value; a text equals no number. */
	const struct cashet_group *groups;
	size_t group_count;
	const struct cashet_grouped_metric *metrics; /* as they first came */
	size_t metric_count;
	const char *const *params; /* names of all parameters of all tasks */
	size_t param_count;
	uint64_t tasks, left_out; /* without one of the parameters */
};

/** cashet_groups() - the tasks of @results that were not read yet, all of them at first, in groups of the
 * same values of parameters. Memory goes with groups times metrics. @how: NULL: one group.
 * *@out: cashet_groups_free() it; it needs @results no more. */
CASHET_API int cashet_groups(struct cashet_results *results,
			     const struct cashet_grouping *how,
			     struct cashet_groups **out, struct cashet_error *error);
/** cashet_groups_free() - with all that it points to; NULL is fine. */
CASHET_API void cashet_groups_free(struct cashet_groups *groups);

/* ---- the best of a sweep ---- */

struct cashet_best {
	const char *metric; /* NULL: as metrics.best of the tasks says */
	bool max,
		min; /* the largest or the smallest is the best; neither: as said there */
	uint32_t top; /* how many; 0: 10 */
};

struct cashet_ranking { /* how it was ranked */
	char batch[CASHET_HEX_SIZE];
	char metric[256];
	bool max;
	uint64_t completed, numbers;   /* tasks; those of them that are ranked */
	uint64_t texts, nans, removed; /* not ranked: no number; no longer in the store */
};

/** One of the best, borrowed for the call. A non-zero return ends the listing, which then succeeds. It
 * may ask the handle for blobs and results. */
typedef int (*cashet_best_row)(void *arg, double value, const struct cashet_result *r);

/** cashet_best() - the best completed tasks of @batch, the best first; of equals the one with the lower
 * index. All results are read once, in bounded memory. @how: NULL: as the batch file says.
 * @out: filled in before the first row, also on CASHET_NOT_FOUND and CASHET_USAGE; may be NULL.
 * CASHET_NOT_FOUND: no task has a number for the metric, which @error says why; CASHET_USAGE: nothing
 * says which metric, or which way. */
CASHET_API int cashet_best(struct cashet *c, const char *batch,
			   const struct cashet_best *how, cashet_best_row row, void *arg,
			   struct cashet_ranking *out, struct cashet_error *error);

/** cashet_commit_find() - the commit that @what names: see "history and care".
 * What a commit does not record (index, params' names) is as of the task under which it ran. */
CASHET_API int cashet_commit_find(struct cashet *c, const char *what,
				  struct cashet_results **rp,
				  const struct cashet_result **resultp,
				  struct cashet_error *error);

/* ---- blobs and logs ---- */

/** Receives bytes in order. Return 0, or a negative errno, which ends the transfer. */
typedef int (*cashet_sink)(void *arg, const void *data, size_t size);

/** cashet_get_blob() - the bytes of @digest (32 bytes) to @sink, in bounded memory. A return of 0
 * means that they hashed to @digest. CASHET_NOT_FOUND: not in the store, or corrupt there. */
CASHET_API int cashet_get_blob(struct cashet *c, const uint8_t digest[32],
			       cashet_sink sink, void *arg, struct cashet_error *error);
/** cashet_get_blob_fd() - as cashet_get_blob(), to @fd, which stays open. What was written before an
 * error stays there. */
CASHET_API int cashet_get_blob_fd(struct cashet *c, const uint8_t digest[32], int fd,
				  struct cashet_error *error);
/** cashet_get_blob_memory() - @datap: malloc()ed, NUL behind; free() it. @max: bytes accepted. */
CASHET_API int cashet_get_blob_memory(struct cashet *c, const uint8_t digest[32],
				      size_t max, void **datap, size_t *sizep,
				      struct cashet_error *error);
/** cashet_get_tree() - lay out a folder (CONTENT_TREE) below the new folder @path. */
CASHET_API int cashet_get_tree(struct cashet *c, const uint8_t digest[32],
			       const char *path, struct cashet_error *error);
/** cashet_put_file(), cashet_put() - store bytes; durable on return. */
CASHET_API int cashet_put_file(struct cashet *c, const char *path, uint8_t digest[32],
			       struct cashet_error *error);
CASHET_API int cashet_put(struct cashet *c, const void *data, size_t size,
			  uint8_t digest[32], struct cashet_error *error);

struct cashet_log_options {
	bool is_stderr;
	bool follow;	 /* until the task has ended; else what there is now */
	uint64_t offset; /* begin here */
};

/** cashet_log() - what a task wrote, also while it runs. */
CASHET_API int cashet_log(struct cashet *c, const char *batch, uint32_t index,
			  const struct cashet_log_options *options, cashet_sink sink,
			  void *arg, struct cashet_error *error);

/* ---- managing ---- */

/** cashet_cancel() - all tasks of @batch, or the one at *@index if not NULL. Durable on return;
 * processes stop within their grace. Tasks that had ended stay as they are. */
CASHET_API int cashet_cancel(struct cashet *c, const char *batch, const uint32_t *index,
			     struct cashet_error *error);
/** cashet_retry() - the same tasks again as a new batch @again: those that succeeded are hits. */
CASHET_API int cashet_retry(struct cashet *c, const char *batch,
			    char again[CASHET_HEX_SIZE], struct cashet_error *error);

/** cashet_batches() - newest first; @all: ended ones too. @max 0: as the broker likes. @row is
 * borrowed for the call; a non-zero return ends the listing. @left_out may be NULL. */
CASHET_API int cashet_batches(struct cashet *c, bool all, uint32_t max,
			      int (*row)(void *arg, const struct cashet_batch *batch),
			      void *arg, uint64_t *left_out, struct cashet_error *error);
/** cashet_batch_find() - the batch that @batch names; @out's texts are borrowed from the handle
 * until its next call. */
CASHET_API int cashet_batch_find(struct cashet *c, const char *batch,
				 struct cashet_batch *out, struct cashet_error *error);

struct cashet_worker {
	const char *name, *host, *state, *isolation; /* state: ready, silent, draining */
	uint8_t key[32];
	const struct cashet_resource *capacity, *used;
	size_t capacity_count, used_count;
	uint32_t running, queued;
	uint64_t done, failed, seen_ms_ago, pid;
	bool draining;
	/* Of one that is silent: what it holds (@running, @queued) was given to others; or will be
	 * in so long, if it stays silent. */
	bool lost;
	uint64_t lost_in_ms;
};
/** cashet_workers() - those that are connected, by name. @row: borrowed for the call; a non-zero return
 * ends the listing. */
CASHET_API int cashet_workers(struct cashet *c,
			      int (*row)(void *arg, const struct cashet_worker *worker),
			      void *arg, struct cashet_error *error);

struct cashet_broker_status {
	const char *version,
		*store; /* the four texts: borrowed from the handle until its next call */
	const char *role; /* what our key may do */
	const char *const *listen;
	size_t listen_count;
	uint64_t pid, uptime_ms, boot;
	bool insecure, draining, disk_full, is_private;
	uint64_t batches, waiting, ready, running, workers, clients;
	uint64_t commits, hits, misses, refused_messages, refused_results;
	uint64_t rss_bytes, free_bytes;
};
/** cashet_status() - of the broker. CASHET_NOT_FOUND of a store that is not there, if must_exist. */
CASHET_API int cashet_status(struct cashet *c, struct cashet_broker_status *out,
			     struct cashet_error *error);
/** cashet_drain() - finish what runs and take nothing new. @worker: its name; NULL: the broker
 * itself, which then ends. @deadline_ns: then stop what still runs; 0: no deadline. */
CASHET_API int cashet_drain(struct cashet *c, const char *worker, uint64_t deadline_ns,
			    struct cashet_error *error);

/* ---- care of the store ---- */

struct cashet_care_report {
	bool dry_run;
	bool stopped;		/* before the end, as asked; what was done is whole */
	uint64_t commits;	/* records that went, or were invalidated */
	uint64_t results;	/* commits whose bytes went */
	uint64_t batches;	/* records of batches that went */
	uint64_t blobs;		/* that went */
	uint64_t bytes;		/* of blobs and records that went */
	uint64_t compute_ns;	/* what the results that went had cost */
	uint64_t kept_in_use;	/* that would have gone, but something needs them */
	uint64_t kept_pinned;	/* that cashet_remove() passed over: they are pinned */
	uint64_t store_bytes;	/* blobs and records that are left (gc) */
	uint64_t journal_bytes; /* size of meta.db, */
	uint64_t journal_free;	/* and how much of it new rows will use first */
	uint64_t checked_commits, checked_blobs, read_bytes; /* fsck */
	uint64_t problems, repaired;
};

struct cashet_care_progress {
	const char *phase;
	uint64_t done, total; /* total 0: not known */
};

struct cashet_care_options { /* of all that follow; may be NULL */
	bool dry_run;	     /* only say what would go */
	void (*progress)(void *arg, const struct cashet_care_progress *progress);
	void *arg;
};

struct cashet_gc {
	bool all; /* everything that nothing needs just now and that is not pinned */
	bool has_older_than;
	uint64_t older_than_ns; /* since the last use */
	bool has_max_bytes;
	uint64_t max_bytes; /* least recently used goes until the store has no more */
};
/** cashet_gc() - collect garbage: what has expired, what nothing names, and what @gc says. Never what
 * is running, waiting or pinned. When options.interrupted says so it stops at the next safe point and
 * the report says @stopped. */
CASHET_API int cashet_gc(struct cashet *c, const struct cashet_gc *gc,
			 const struct cashet_care_options *options,
			 struct cashet_care_report *report, struct cashet_error *error);

struct cashet_filter { /* all that is given must hold; nothing given is CASHET_USAGE */
	const char *const
		*commits; /* any of these: hashes, prefixes, BATCH:INDEX, pins */
	size_t commit_count;
	const struct cashet_pair *tags; /* all of these; value NULL: any */
	size_t tag_count;
	const char *func;	/* name of the task, all of it */
	const uint8_t *worker;	/* 32 bytes: its key */
	const char *downstream; /* this commit and all that was made from it */
};
/** cashet_remove() - take records out of the store; bytes that nothing else needs go with the next
 * gc. If one of filter.commits is pinned nothing is removed, and the error names the pin; of what the
 * rest of the filter means, pinned ones are passed over. */
CASHET_API int cashet_remove(struct cashet *c, const struct cashet_filter *filter,
			     const struct cashet_care_options *options,
			     struct cashet_care_report *report,
			     struct cashet_error *error);
/** cashet_invalidate() - current results that are hits no more; their records stay, and so do their
 * pins. */
CASHET_API int cashet_invalidate(struct cashet *c, const struct cashet_filter *filter,
				 const struct cashet_care_options *options,
				 struct cashet_care_report *report,
				 struct cashet_error *error);

struct cashet_finding {
	const char *kind; /* a word, see docs/cli.md */
	const char *what;
	bool has_blob, has_commit;
	uint8_t blob[32], commit[32];
	bool repaired;
	const char *name; /* of the task that would run again, or of the pin; or "" */
};
/** cashet_fsck() - is the store what it should be? @read_percent: of the files that are read whole.
 * Without @repair it also works on a directory that no broker serves. @found: called for each of the
 * first 10,000 findings once all is done. Return: 0 also with findings: see @report. */
CASHET_API int cashet_fsck(struct cashet *c, unsigned read_percent, bool repair,
			   const struct cashet_care_options *options,
			   void (*found)(void *arg, const struct cashet_finding *finding),
			   void *arg, struct cashet_care_report *report,
			   struct cashet_error *error);

/** cashet_pin() - @name stands for @commit, whatever it stood for before; gc keeps it. */
CASHET_API int cashet_pin(struct cashet *c, const char *commit, const char *name,
			  struct cashet_error *error);
/** cashet_unpin() - durable on return; CASHET_NOT_FOUND: there is no pin of that name. */
CASHET_API int cashet_unpin(struct cashet *c, const char *name,
			    struct cashet_error *error);
struct cashet_pin {
	const char *name;
	uint8_t commit[32];
	uint64_t pinned_wall_ms;
	bool gone; /* the commit is not there any more */
};
/** cashet_pins() - by name; @row is called for each, a non-zero return ends the listing. */
CASHET_API int cashet_pins(struct cashet *c,
			   int (*row)(void *arg, const struct cashet_pin *pin), void *arg,
			   struct cashet_error *error);
/* ---- why something ran, what differs ----
 *
 * A run is named by @what: a task (BATCH:INDEX), a commit (4 or more digits of its hash), or a pin.
 * What these functions give is one heap object, freed by its own function. */

enum cashet_component {			/* what a fingerprint consists of */
			CASHET_COMMAND, /* argv or the shell's text, as written */
			CASHET_ENV,
			CASHET_OUTPUT, /* paths of outputs */
			CASHET_METRICS,
			CASHET_SALT,
			CASHET_CODE, /* a file */
			CASHET_PARAM,
			CASHET_INPUT,
			CASHET_VERSION, /* of what is known as a whole only */
			/* not part of it, so never a cause: */
			CASHET_TAG,
			CASHET_OPTION, /* retries, timeout, priority, resources, ttl */
			/* of functions by source, and of code that counts by its meaning: */
			CASHET_SOURCE, /* what code it is; CHANGED: see what follows. No cause itself */
			CASHET_INTERPRETER, /* the version that the task asks for */
			CASHET_DEFINITION, /* a function, class, variable that it reaches */
			CASHET_PACKAGE,	   /* its version */
			CASHET_FLAGS,	   /* of the compiler */
			CASHET_LAYOUT, /* a file that differs in nothing that counts: no cause */
};
enum cashet_how { CASHET_SAME, CASHET_CHANGED, CASHET_ADDED, CASHET_REMOVED };

struct cashet_change {
	enum cashet_component component;
	enum cashet_how how;
	const char *name; /* of the file, variable, parameter, input; "argv[2]"; "" */
	const char *before, *after;	/* as text; of an input the names of its files */
	struct cashet_content old, now; /* CODE, INPUT; sizes are not known: 0 */
	/* CODE, DEFINITION: "train.py:load()  line 31 changed", by a lexical look; "" if none was
	 * possible */
	const char *where;
	const char *
		file; /* DEFINITION, LAYOUT: where it is, or was, within the source; or NULL */
	uint32_t line;
	bool only_comments; /* CODE: nothing but comments and white space, which count */
	/* INPUT: the task of the batch that gave it; of a list the first one */
	bool has_origin;
	uint32_t origin_index, origin_count;
	const char *origin_name;
	bool origin_ran;		     /* in this batch: it was no hit */
	char origin_commit[CASHET_HEX_SIZE]; /* "" if not known */
	const char *diff; /* cashet_diff(): a unified diff of texts, or NULL */
};

struct cashet_run {
	char batch[CASHET_HEX_SIZE], commit[CASHET_HEX_SIZE]; /* "" if there is none */
	/* with params; of a run without commit: index, name, params, fingerprint */
	struct cashet_result result;
	uint64_t ttl_s; /* 0: none */
};

enum cashet_verdict {
	CASHET_WHY_RAN,
	CASHET_WHY_HIT,
	CASHET_WHY_JOINED, /* the same work ran for somebody else at that time */
	CASHET_WHY_FAILED,
	CASHET_WHY_RUNNING,
	CASHET_WHY_READY,
	CASHET_WHY_WAITING,
	CASHET_WHY_SKIPPED,
	CASHET_WHY_CANCELLED,
};
/** cashet_verdict_name(), cashet_reason_name(), cashet_forecast_name() - as in --json. Static. Thread:
 * any. */
CASHET_API const char *cashet_verdict_name(enum cashet_verdict verdict);

enum cashet_reason {			    /* why it ran, or will */
		     CASHET_REASON_UNKNOWN, /* its inputs are not known yet, or it did not run */
		     CASHET_REASON_FIRST, /* nothing of this name ran before */
		     CASHET_REASON_CHANGED,
		     CASHET_REASON_FORCED,
		     CASHET_REASON_NO_CACHE,
		     CASHET_REASON_EXPIRED,
		     CASHET_REASON_GONE, /* the bytes of its result were evicted or lost */
		     CASHET_REASON_CORRUPT, /* they were found to be corrupt */
		     CASHET_REASON_INVALIDATED,
		     CASHET_REASON_FAILED_BEFORE, /* a failure is never a hit */
		     CASHET_REASON_NOT_KEPT,	  /* the earlier run had the cache off */
};
CASHET_API const char *cashet_reason_name(enum cashet_reason reason);

struct cashet_why_task {
	uint32_t index;
	const char *name;
	enum cashet_status status;
};

struct cashet_why {
	enum cashet_verdict verdict;
	enum cashet_reason reason;
	struct cashet_run run;
	bool has_earlier;
	struct cashet_run earlier; /* what it was compared with, or what did not count */
	const struct cashet_change
		*changes; /* all components, those that are equal too */
	size_t change_count;
	/* WAITING: tasks that it waits for; SKIPPED: from it up to the one that failed */
	const struct cashet_why_task *tasks;
	size_t task_count;
	uint64_t tasks_left_out;
	const char *note; /* what keeps it, or where it runs; "" */
};

/** cashet_why() - why a task ran, was a hit, waits, was skipped or failed: its fingerprint against the
 * nearest earlier commit of the same name. *@whyp: cashet_why_free() it. */
CASHET_API int cashet_why(struct cashet *c, const char *what, struct cashet_why **whyp,
			  struct cashet_error *error);
/** cashet_why_free() - with all that it points to; NULL is fine. */
CASHET_API void cashet_why_free(struct cashet_why *why);

/* ---- dry runs: what a batch would run ---- */

enum cashet_forecast {
	CASHET_WOULD_HIT,
	CASHET_WOULD_RUN,
	CASHET_WOULD_JOIN, /* the same work as another task of the batch, which runs */
	CASHET_WAITS, /* a task before it runs, and what that will give is not known */
	CASHET_HIT_IF_SAME, /* a hit, if the tasks before it give what they gave last time */
	CASHET_RUNS_ALIKE, /* it runs, also if they do */
};
CASHET_API const char *cashet_forecast_name(enum cashet_forecast forecast);

struct cashet_dry_task {
	uint32_t index;
	const char *name;
	const struct cashet_param *params;
	size_t param_count;
	enum cashet_forecast forecast;
	char commit[CASHET_HEX_SIZE];  /* of the hit; or "" */
	char earlier[CASHET_HEX_SIZE]; /* that it was compared with; or "" */
	enum cashet_reason reason;     /* why it would run */
	/* what differs from @earlier; of the first 1,000 tasks of a name that would run */
	const struct cashet_change *changes;
	size_t change_count;
};

struct cashet_dry_cause {
	enum cashet_reason reason;
	uint64_t count;
	uint32_t index; /* of the first such task, whose changes these are */
	const struct cashet_change *changes;
	size_t change_count;
};

struct cashet_dry_entry { /* all tasks of one name */
	const char *name;
	uint64_t total, counts[6]; /* by enum cashet_forecast */
	/* Why they would run, most frequent first; of very many tasks the most frequent stands
	 * for others that were not looked at. */
	const struct cashet_dry_cause *causes;
	size_t cause_count;
	uint64_t duration_ns; /* of one, by earlier ones; 0: not known */
	uint64_t work_ns;     /* of all that would run: durations times cpus */
};

struct cashet_dry_run {
	uint64_t total, counts[6];
	const struct cashet_dry_entry *entries;
	size_t entry_count;
	uint64_t work_ns,
		chain_ns;     /* chain: of tasks that wait for each other, the longest */
	uint64_t cpus_milli;  /* of all workers; of this machine, if there is none */
	uint64_t estimate_ns; /* at least so long */
	uint64_t
		unknown_durations; /* tasks that it leaves out: nothing like them ran before */
};

struct cashet_dry_run_options {
	/* Called for each task, in order; everything in it is borrowed for the call. Non-zero:
	 * enough. */
	int (*task)(void *arg, const struct cashet_dry_task *task);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/** cashet_dry_run() - what cashet_submit_file() would run just now, and why. Nothing is run, uploaded
 * or written; a store that does not exist is not made. *@out: cashet_dry_run_free() it. */
CASHET_API int cashet_dry_run(struct cashet *c, const char *path,
			      const struct cashet_submit_options *submit,
			      const struct cashet_dry_run_options *options,
			      struct cashet_dry_run **out, struct cashet_error *error);
/** cashet_dry_run_many() - the same of cashet_submit_many(). */
CASHET_API int cashet_dry_run_many(struct cashet *c, const struct cashet_task *tasks,
				   size_t count,
				   const struct cashet_submit_options *submit,
				   const struct cashet_dry_run_options *options,
				   struct cashet_dry_run **out,
				   struct cashet_error *error);
/** cashet_dry_run_free() - with all that it points to; NULL is fine. */
CASHET_API void cashet_dry_run_free(struct cashet_dry_run *run);

struct cashet_diff_output { /* a result, an output or standard output of two runs */
	const char *name;   /* of the output; of a folder's file "NAME/PATH" */
	enum cashet_how how;
	struct cashet_content old, now;
	bool is_json;	  /* @diff is by path: "a.b[0]: 1 -> 2" */
	const char *diff; /* or NULL: binary, or too large: sizes and digests say it */
};

struct cashet_diff {
	struct cashet_run a, b;
	const struct cashet_change *changes; /* from @a to @b, as in struct cashet_why */
	size_t change_count;
	const struct cashet_diff_output *outputs; /* those that are equal too */
	size_t output_count;
	uint64_t outputs_left_out; /* files of folders */
};

/** cashet_diff() - what differs between two runs. Nothing is loaded whole that is larger than a
 * megabyte. *@diffp: cashet_diff_free() it. */
CASHET_API int cashet_diff(struct cashet *c, const char *a, const char *b,
			   struct cashet_diff **diffp, struct cashet_error *error);
/** cashet_diff_free() - with all that it points to; NULL is fine. */
CASHET_API void cashet_diff_free(struct cashet_diff *diff);
/* ---- history and care ----
 *
 * Where a commit is expected, @what is 4 or more digits of its hash in any case, "BATCH:INDEX" of a
 * task that ended with it, or the name of a pin. Of a store directory that no broker serves all of
 * this section that only reads is answered from its files: no broker is started, nothing is made. */

struct cashet_commit {
	uint8_t commit[32];
	const char *name; /* of the task */
	bool failed;
	uint64_t size; /* bytes of its outputs, or of its result */
	uint64_t duration_ns, ended_wall_ms;
	uint64_t expires_wall_ms; /* 0: never */
	const struct cashet_pair *
		tags; /* of the task that made it, and of the one by which it was found */
	size_t tag_count;
	const char *error, *worker; /* "" if none */
	uint8_t func_hash[32], args_hash[32];
	bool has_parent;
	uint8_t parent[32]; /* the commit that it superseded */
	uint8_t batch[32];  /* the task under which it ran */
	uint32_t index;
	uint32_t attempts;
	int exit_code;
	bool current; /* cashet_runs(), cashet_show(): equal work would be a hit on it */
};

struct cashet_commits_filter { /* all that is given must hold */
	/* name of the task; of a function by source also without its file: "train" */
	const char *func;
	const struct cashet_pair
		*tags; /* of any task that made the commit or hit it; value NULL: any */
	size_t tag_count;
	const char *batch; /* made or hit by its tasks; NULL: any; "": of the newest */
	bool completed, failed; /* one of them: only these */
	uint64_t since_wall_ms; /* ended then or later */
	uint64_t max;		/* how many; 0: all */
};

/** A commit, borrowed for the call. A non-zero return ends the listing, which then succeeds. The
 * callback must not use the handle. */
typedef int (*cashet_commit_row)(void *arg, const struct cashet_commit *commit);

/** cashet_commits() - the history, newest first, failures too. @filter: NULL: everything. */
CASHET_API int cashet_commits(struct cashet *c,
			      const struct cashet_commits_filter *filter,
			      cashet_commit_row row, void *arg,
			      struct cashet_error *error);
/** cashet_runs() - all runs of the same function and arguments as @what, newest first. */
CASHET_API int cashet_runs(struct cashet *c, const char *what, cashet_commit_row row,
			   void *arg, struct cashet_error *error);

struct cashet_function_code {
	const char *path;
	bool executable;
	uint8_t digest[32];
};

struct cashet_source_package {
	const char *name, *version; /* version: or NULL */
	bool counts;		    /* the identity has it */
};

struct cashet_source_unit { /* a function by source, or code of a command, as it was described */
	const char *language, *path;
	const char *name; /* of the function; NULL: all of the file */
	const char *file; /* where the function is defined, if that is known; or NULL */
	uint32_t line;
	uint8_t hash[32], identity[32];
	const struct cashet_source_package *packages;
	size_t package_count;
	const char *const *flags;
	size_t flag_count;
};

struct cashet_shipped { /* what code it was */
	uint8_t digest[32];
	const struct cashet_function_code *files; /* all that was shipped */
	size_t file_count;
	const struct cashet_source_unit *units; /* of a call one */
	size_t unit_count;
};

struct cashet_function {	 /* what a command runs, as written */
	const char *const *argv; /* or NULL when @shell is set */
	size_t argc;
	const char *shell;
	const struct cashet_pair *env, *outputs;
	size_t env_count, output_count;
	const struct cashet_function_code *code;
	size_t code_count;
	const char *metrics, *salt; /* or NULL */
	/* of a call, which has no argv and no shell; else NULL */
	const char *language;
	const char *version; /* of the interpreter, if the task asks for one; or NULL */
};

struct cashet_origin { /* of an input */
	const char *name;
	const char *const *files; /* the names that it has in the task's folder */
	size_t file_count;
	struct cashet_content content;
	const uint32_t *sources; /* numbers of the commits that produced it, in order */
	size_t source_count;
	uint32_t parts;	   /* members of a list; else 1 */
	uint32_t supplied; /* how many of them the client supplied */
	uint32_t unknown;  /* how many come from commits of which there is no record */
};

struct cashet_shown {
	struct cashet_commit commit;
	const struct cashet_result *result;	/* as cashet_commit_find() */
	const struct cashet_function *function; /* NULL: not in the store any more */
	const struct cashet_shipped *source;	/* NULL: it has none, or not any more */
	const struct cashet_origin *inputs;	/* by name */
	size_t input_count;
	const struct cashet_commit *sources; /* what the inputs number */
	size_t source_count;
	uint64_t hits, last_used_wall_ms; /* by tasks, 0: none so far */
	const char *const *pins;
	size_t pin_count;
};

/** cashet_show() - all that is known of one commit. cashet_shown_free() it; NULL is fine there. */
CASHET_API int cashet_show(struct cashet *c, const char *what, struct cashet_shown **sp,
			   struct cashet_error *error);
CASHET_API void cashet_shown_free(struct cashet_shown *s);

struct cashet_comparison { /* of a function as it is now with the one of a run */
	/* It is the same function: definitions, packages that count, flags, the version that was
	 * asked for. What else makes a task (arguments, env, salt) is not looked at. */
	bool same;
	const struct cashet_description *now;
	const struct cashet_shown *then;
	const struct cashet_source_unit *unit; /* of then->source */
	/* From then to now, what differs only, with diffs of the files: DEFINITION, CODE, PACKAGE,
	 * FLAGS, INTERPRETER; and LAYOUT, which does not count. */
	const struct cashet_change *changes;
	size_t change_count;
};

/** cashet_describe_against() - the one target of @what beside what the run @against had: a commit,
 * BATCH:INDEX, or a pin. A script is compared with that of the same name, of a command. Flags of C that
 * are not given are those of the run. *@out: cashet_comparison_free() it, before the handle.
 * CASHET_USAGE: it cannot be described, or the run has nothing like it; CASHET_NOT_FOUND also when the
 * source is not in the store any more. */
CASHET_API int cashet_describe_against(struct cashet *c,
				       const struct cashet_describe *what,
				       const char *against,
				       struct cashet_comparison **out,
				       struct cashet_error *error);
/** cashet_comparison_free() - with all that it points to; NULL is fine. */
CASHET_API void cashet_comparison_free(struct cashet_comparison *comparison);

struct cashet_node {
	struct cashet_commit commit;
	const struct cashet_origin *inputs; /* their sources number nodes */
	size_t input_count;
};

struct cashet_lineage {
	const struct cashet_node *nodes; /* the first is the commit itself */
	size_t node_count;
	bool cut; /* there are more */
};

/** cashet_lineage() - what a commit was made from, and that from, up to the roots. @max: nodes; 0:
 * 10000. cashet_lineage_free() it; NULL is fine there. */
CASHET_API int cashet_lineage(struct cashet *c, const char *what, uint32_t max,
			      struct cashet_lineage **lp, struct cashet_error *error);
CASHET_API void cashet_lineage_free(struct cashet_lineage *l);

struct cashet_store_stats {
	uint64_t completed, failed;	       /* commits */
	uint64_t hits, executed, deduplicated; /* tasks, over the life of the store */
	uint64_t compute_ns, saved_ns;	       /* what commits cost; what hits did not */
	uint64_t referenced_bytes; /* that commits name, each time that one does */
	uint64_t object_bytes, stored_bytes, objects; /* files; stored: compressed */
	uint64_t inline_blobs, inline_bytes;	      /* small blobs in meta.db */
	uint64_t batches, pins;
	uint64_t journal_bytes, journal_free_bytes; /* meta.db */
};
/** cashet_stats() - what the store holds and what it has saved: counters, nothing is scanned. */
CASHET_API int cashet_stats(struct cashet *c, struct cashet_store_stats *out,
			    struct cashet_error *error);

/* ---- archives: commits and all that they need, to be carried to another store ---- */

struct cashet_archive_report {
	uint64_t commits; /* export: in the archive; import: that are new */
	uint64_t known;	  /* import: that were there already, and stay as they are */
	uint64_t blobs;	  /* in the archive */
	uint64_t absent;  /* that commits name, and that were not in the store any more */
	uint64_t pins;	  /* export: in the archive; import: that are new */
	uint64_t bytes;	  /* of all blobs, unpacked */
	uint64_t archive_bytes;
};

struct cashet_export {
	const char *const *commits; /* these: hashes, prefixes, BATCH:INDEX, pins; or: */
	size_t commit_count;
	const struct cashet_commits_filter
		*filter; /* NULL: everything; @max is not looked at */
	bool all; /* superseded results and failures too, not only what would be hit */
	bool no_logs; /* leave out what was written to standard output and error */
};

/** cashet_export() - write an archive to the file @path, which is replaced, or to standard output if it
 * is "-". A file appears when it is complete and on disk; an error or an interruption leaves nothing.
 * Bounded memory: some 70 bytes for each blob and commit. options->dry_run is not looked at. */
CASHET_API int cashet_export(struct cashet *c, const char *path,
			     const struct cashet_export *what,
			     const struct cashet_care_options *options,
			     struct cashet_archive_report *report,
			     struct cashet_error *error);

struct cashet_import {
	/* What blobs may unpack to, and at least 1000 times the archive's size. 0: 1 GiB. */
	uint64_t max_bytes;
	/* A pin's name stands for another commit here, and stays so. May be NULL. */
	void (*pin_kept)(void *arg, const char *name);
	void *arg;
};

/** cashet_import() - read the archive @path ("-": standard input) into the store: all of it or nothing.
 * Every blob and commit is verified; what is there already stays as it is. A bad archive is
 * CASHET_USAGE. Durable on return. With options->dry_run it is only verified: no store is needed.
 * @how: may be NULL. Needs the role of an admin. */
CASHET_API int cashet_import(struct cashet *c, const char *path,
			     const struct cashet_import *how,
			     const struct cashet_care_options *options,
			     struct cashet_archive_report *report,
			     struct cashet_error *error);

/* ---- a task's directory, laid out by hand ---- */

struct cashet_laid_out { /* everything as a worker would give it to the task */
	char batch[CASHET_HEX_SIZE]; /* "" if the run is of another store */
	uint32_t index;
	const char *name;	/* of the task */
	const char *dir, *task; /* absolute: what was asked for; the working directory */
	const char *script;	/* runs exactly this command, with this environment */
	const char *command;	/* quoted for a shell */
	const char *const *argv, *const *env; /* env: NAME=VALUE; both end with NULL */
	size_t argc, env_count;
	const char *const *secrets; /* names; their values are not laid out */
	size_t secret_count;
	bool our_env;  /* PATH, HOME, ... are ours: on a cluster they are the worker's */
	uint32_t gpus; /* that it asks for; the first ones are in CUDA_VISIBLE_DEVICES */
};

/** cashet_lay_out() - code, inputs and environment of a run, to reproduce it by hand. Nothing is run.
 * @what: BATCH:INDEX, a commit, or a pin
 * @dir:  made; may be there if it is empty. It gets task/ (the working directory), tmp/, checkpoint/
 *        and run (the script); of a call also source/, data/ (what its arguments name), call.json
 *        (the arguments) and, in Python, call.py. What is in it after an error is the caller's to remove.
 * *@lp:  cashet_laid_out_free() it; the files stay.
 * CASHET_NOT_FOUND also when inputs do not exist yet, or not any more: @error says which. */
CASHET_API int cashet_lay_out(struct cashet *c, const char *what, const char *dir,
			      struct cashet_laid_out **lp, struct cashet_error *error);
/** cashet_laid_out_free() - the files stay; NULL is fine. */
CASHET_API void cashet_laid_out_free(struct cashet_laid_out *l);

#ifdef __cplusplus
}
#endif
#endif
