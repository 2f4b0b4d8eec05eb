/* spec.h - a batch file, read: everything typed, checked and resolved, nothing expanded.
 *
 * A task here is an entry of the file; with a sweep it stands for many. Texts, nodes and arrays
 * live in the arenas of the document (for JSONL: of the line) and are borrowed. */
#pragma once

#include "client/batch/files.h"
#include "client/batch/get.h"
#include "client/batch/shipped.h"
#include "client/batch/sweep.h"
#include "client/batch/targets.h"

#define SPEC_RESOURCES_MAX 16
#define SPEC_SECRETS_MAX 64
#define SPEC_PAIRS_MAX 1000 /* entries of env, tags, inputs, outputs */

struct spec_pair {
	const char *key, *value;
	const struct node *node; /* of the value */
};

struct spec_pairs { /* sorted by key, bytewise */
	struct spec_pair *items;
	uint32_t count;
};

struct spec_ref {
	const struct node *node;
	const char *task; /* as written; NOT terminated; for messages and lookup */
	uint32_t task_size;
	bool by_index; /* list form: {ref: 0} */
	uint64_t index;
	bool all; /* T.* */
	bool skip_failed;
	const char *output; /* "stdout", an output's name, or NULL: the result */
	/* resolved: the targets are @target, and with @all the others of its name */
	uint32_t target;
	uint32_t first; /* by_index: the task */
};

enum member_kind { MEMBER_FILE, MEMBER_EXTERN, MEMBER_REF };
struct spec_member {
	enum member_kind kind;
	const struct node *node;
	struct files_item *item; /* FILE */
	const char *file_name;	 /* FILE, EXTERN */
	const char *path, *as;	 /* EXTERN */
	struct spec_ref ref;	 /* REF */
};

struct spec_input {
	const char *name;
	const struct node *node;
	bool is_list; /* written as a list; a wildcard alone is not */
	struct spec_member *members;
	uint32_t count;
};

struct spec_param { /* fixed */
	const char *name;
	struct value value;
};

enum spec_cache { SPEC_USE, SPEC_OFF, SPEC_FORCE };

struct spec_resource {
	const char *name;
	uint64_t amount;
};

struct spec_options {
	uint64_t retries, timeout_ns, grace_ns, ttl_s;
	int64_t priority;
	const struct spec_resource *resources; /* sorted by name */
	uint32_t resource_count;
	enum spec_cache cache;
	const char **best; /* "val_loss:min" */
	uint32_t best_count;
	const char **secrets; /* names, sorted */
	uint32_t secret_count;
};

struct spec_task {
	const struct node *node; /* the map */
	const char *name;	 /* for people */
	const char *ref_name;	 /* for references; NULL if it was not given one */
	struct spec_call
		*call; /* a function; or NULL: a command, of which the next three are */
	const char **argv; /* argc items; or NULL: @shell */
	uint32_t argc;
	const char *shell;
	struct spec_pairs env, tags, outputs;
	struct spec_param *params; /* fixed ones, as written */
	uint32_t param_count;
	struct sweep *sweep;	   /* or NULL */
	struct spec_input *inputs; /* sorted by name */
	uint32_t input_count;
	struct spec_code *code;
	uint32_t code_count;
	struct shipped *shipped; /* NULL: nothing but files that are hashed by bytes */
	struct spec_ref *needs;
	uint32_t need_count;
	const char *metrics, *salt; /* or NULL */
	struct spec_options options;
	uint64_t count; /* tasks that it stands for */
};

/* ---- calls: functions by source (spec_call.c, spec_args.c)
 *
 * Arguments are a tree of struct arg, borrowed from the document. What is a reference, a file or
 * a folder there is also an input of the task, of one member, so that it is resolved and uploaded
 * like those of commands. An ARG_REF says in @size which input it is, or which hole. */

struct spec_hole {		 /* where a parameter of the sweep stands */
	const struct node *node; /* NULL: it is the keyword of its name */
	const char *
		text; /* with ${p.*} and more around it; NULL: the value of @axis as it is */
	uint32_t axis;
	uint32_t depth; /* lists and maps around it */
};

#define SPEC_HOLE ((size_t)1 << 32) /* in arg.size: number of a hole, not of an input */

/* A value of a sweep that is more than a plain one. */
struct rich_ref {
	uint32_t offset; /* of the placeholder in the bytes */
	uint32_t input;
};
struct sweep_rich {
	const struct node *node;
	const struct arg *arg;
	const uint8_t
		*bytes; /* as in the arguments; placeholders of references are zero */
	uint32_t size;
	uint32_t depth,
		values;	   /* lists and maps inside each other; values in it, all told */
	uint32_t contents; /* references and files in it */
	struct rich_ref *refs;
	uint32_t ref_count;
};

struct spec_call {
	const struct node *node;	  /* FILE:FUNCTION */
	uint32_t number;		  /* of the describer */
	const struct described *function; /* its ok is true */
	const char *python;		  /* interpreter, or NULL: the worker's own */
	const char *version;		  /* "3.11", with @python; or NULL */
	bool fork;
	struct call_args args; /* in one spelling */
	const struct spec_hole *holes;
	uint32_t hole_count;
	uint32_t hole_refs;  /* references that the values in all holes have at most */
	const char **labels; /* of the arguments to show to people */
	uint32_t label_count;
};

enum spec_form { SPEC_BY_NAME, SPEC_LIST, SPEC_LINES };

struct spec {
	struct doc *doc;
	struct files *files;
	struct shipping *shipping;
	enum spec_form form;
	bool force, no_cache;		     /* over every task's cache mode */
	const struct spec_pairs *extra_tags; /* of the command line, over every task's */
	const struct node *defaults;	     /* or NULL */
	const struct node *code_items;	     /* what was read last, and what it came to */
	uint32_t code_items_count;
	struct spec_code *code;
	uint32_t code_count;
	struct shipped *shipped;
	bool code_is_call;
	uint64_t need_edges; /* so far: pairs of a task and one that it needs */
};

/** spec_read_task() - one entry. @key: its name in a map, or NULL. References are not resolved.
 * Return: 0, ERR_USAGE, ERR_FAILED in doc->e. */
int spec_read_task(struct spec *s, const struct node *key, const struct node *node,
		   struct spec_task *task);

/* The parts of spec_read_task(), one file each. @own and @common: the value of the task and of
 * the defaults, or NULL. */
int spec_read_run(struct spec *s, const struct node *run, struct spec_task *task);
int spec_read_inputs(struct spec *s, const struct node *own, const struct node *common,
		     struct spec_task *task);
int spec_read_outputs(struct spec *s, const struct node *own, const struct node *common,
		      struct spec_task *task);
int spec_read_code(struct spec *s, const struct node *code, struct spec_task *task);
/** spec_find_code() - the files of `code:`, sorted, without schemes. */
int spec_find_code(struct spec *s, const struct node *code, struct spec_code **codep,
		   uint32_t *countp);
int spec_check_layout(struct spec *s, const struct node *metrics, struct spec_task *task);
int spec_read_ref(struct spec *s, const struct node *node, struct spec_ref *ref);
/** spec_read_member() - {file}, {path, as} or {ref, failed}. @what: "input \"x\"", for messages;
 * @otherwise: name of a file whose path has none. */
int spec_read_member(struct spec *s, const struct node *node, const char *what,
		     const char *otherwise, struct spec_member *m);
int spec_read_needs(struct spec *s, const struct node *node, struct spec_task *task);
enum spec_call_key { CALL_CALL, CALL_PYTHON, CALL_ISOLATION, CALL_CFLAGS, CALL_KEYS };
/** spec_want() - tell the describer what @node, a task, will need; whatever is wrong with it is left
 * to spec_read_task(). Return: 0 or ERR_FAILED in doc->e. */
int spec_want(struct spec *s, const struct node *node);
/** spec_read_call() - which function; describes it. @own, @common: enum spec_call_key. */
int spec_read_call(struct spec *s, const struct node *const *own,
		   const struct node *const *common, struct spec_task *task);
/** spec_version() - of an interpreter that was chosen, "3.11.7" as "3.11": what a patch release changes
 * is no other work. Return: NULL out of memory. */
char *spec_version(struct arena *arena, const struct described *function);
/** spec_read_sweep_of_call() - whose values may be whatever arguments can be. */
int spec_read_sweep_of_call(struct spec *s, const struct node *node,
			    struct spec_task *task);
/** spec_read_args() - behind call and sweep, each but the call or NULL: all arguments, in the one
 * spelling that the function's signature knows. */
int spec_read_args(struct spec *s, const struct node *args, const struct node *kwargs,
		   const struct node *sweep, struct spec_task *task);
/** spec_set_labels() - which arguments people are shown. @given: how many by position. */
int spec_set_labels(struct spec *s, size_t given, const struct describe_binding *binding,
		    struct spec_task *task);
/** spec_check_templates() - every ${...} of argv, shell and env is one that the task has. */
int spec_check_templates(struct spec *s, const struct node *run,
			 const struct spec_task *task);
/** spec_read_pairs() - merge two maps of texts by key; @own wins. */
int spec_read_pairs(struct spec *s, const struct node *own, const struct node *common,
		    const char *what, struct spec_pairs *pairs);
/** spec_read_secrets() - behind env, with which they share their names. @list: or NULL. */
int spec_read_secrets(struct spec *s, const struct node *list, struct spec_task *task);
enum spec_option_key {
	OPTION_RESOURCES,
	OPTION_RETRIES,
	OPTION_TIMEOUT,
	OPTION_GRACE,
	OPTION_PRIORITY,
	OPTION_CACHE,
	OPTION_METRICS,
	OPTION_COUNT,
};
/* spec_description_size() - bytes of the canonical description, which broker and workers keep for
 * each function; FUNCTION_SIZE_MAX at most. */
#define SPEC_SIZE_NEXT                                                                   \
	"pass long texts and many files as inputs: a folder is one input, however "      \
	"large it is"
uint64_t spec_description_size(const struct spec_task *t);
/** spec_largest_part() - of the description: "run", "code" or "env". */
const char *spec_largest_part(const struct spec_task *t);
int spec_check_size(struct spec *s, const struct spec_task *task);
int spec_read_options(struct spec *s, const struct node *const *own,
		      const struct node *const *common, struct spec_task *task);

/** spec_resolve() - find what a task's references point to. @self: its own target's number, or
 * TARGET_NONE in JSONL, where the task at @index is not among @targets yet. */
int spec_resolve(struct spec *s, struct targets *targets, struct spec_task *task,
		 uint32_t self, uint32_t index);
/** spec_check_cycles() - refuses tasks that wait for each other, naming them. */
int spec_check_cycles(struct spec *s, const struct targets *targets,
		      struct spec_task *tasks, uint32_t count);
/** spec_read_batch() - the whole of a YAML or JSON file, from doc->root, checked and resolved. */
struct spec_batch {
	const char *name;		     /* or "" */
	uint64_t max_failures, max_parallel; /* 0: none */
	struct spec_task *tasks;
	uint32_t count;
	uint64_t total; /* tasks, sweeps expanded */
};
int spec_read_batch(struct spec *s, struct targets *targets, struct spec_batch *batch);
/** spec_add_target() - @task can be referred to from now on. */
int spec_add_target(struct spec *s, struct targets *targets,
		    const struct spec_task *task);
void *spec_take(struct spec *s, size_t count, size_t size); /* NULL: doc->e says so */
