/* emit.h - read tasks become options, functions, groups and tasks of a builder.
 *
 * What varies within a sweep are values in the arguments only; everything else is made once per
 * entry. Equal options, functions and groups are given once; what is known of them is bounded, so
 * a JSONL file of any length needs no more memory (then they may be given again, which is
 * harmless). */
#pragma once

#include "client/batch/spec.h"
#include "client/builder.h"

struct emit {
	struct builder *builder;
	const struct targets *targets;
	struct err *e;
	struct arena arena; /* of known things */
	struct map options, functions, groups;
	struct arena scratch; /* of one entry */
	struct buf description, args, packed;
	Cashet__Function env; /* outside identity: of the submitter */
	uint8_t nonces[4096];
	size_t nonces_left;
};

/** emit_init() - @private_env: PATH, HOME, LANG and VIRTUAL_ENV go with the functions. */
int emit_init(struct emit *m, struct builder *b, const struct targets *targets,
	      bool private_env, struct err *e);
void emit_fini(struct emit *m);
/** emit_task() - the tasks that @task stands for. @keeps_stdout: somebody reads it. */
int emit_task(struct emit *m, const struct spec_task *task, bool keeps_stdout);

/* What all tasks of one entry share. */
struct emit_frame {
	const struct spec_task *task;
	Cashet__TaskSpec spec; /* but for args, refs and nonce of a task */
	bool needs_nonce;
	uint8_t nonce[NONCE_SIZE];
};
static inline struct emit_frame emit_frame_of(const struct spec_task *task)
{
	return (struct emit_frame){.task = task,
				   .spec = CASHET__TASK_SPEC__INIT,
				   .needs_nonce = task->options.cache != SPEC_USE};
}

/* What the inputs of one entry come to; arrays live in emit->scratch. */
struct emit_inputs {
	struct args args;   /* without values */
	Cashet__Ref **refs; /* offsets as if there were no values */
	uint32_t ref_count;
	Cashet__Extern **externs;
	uint32_t extern_count;
};
/** emit_inputs() - uploads files and lists, gives groups. Return: 0 or ERR_* in m->e. */
int emit_inputs(struct emit *m, const struct spec_task *task, struct emit_inputs *inputs);
/** emit_contents() - the same for a call, whose inputs stand in its arguments. @refsp: of each
 * input that is a reference, what it refers to, without offset. */
int emit_contents(struct emit *m, const struct spec_task *task, Cashet__Ref **refsp);
/** emit_call() - of emit_task(), for calls. */
int emit_call(struct emit *m, const struct spec_task *task, bool keeps_stdout);
/** emit_shared() - code, options, function and needs; sets those of f->spec. */
int emit_shared(struct emit *m, bool keeps_stdout, const struct emit_inputs *inputs,
		struct emit_frame *f);
/** emit_give() - a task whose arguments are m->args. */
int emit_give(struct emit *m, struct emit_frame *f);
int emit_options(struct emit *m, const struct spec_task *task, bool keeps_stdout,
		 const struct emit_inputs *inputs, uint32_t *numberp);
int emit_function(struct emit *m, const struct spec_task *task, uint32_t options,
		  uint32_t *numberp);
void emit_forget(struct emit *m); /* what is known, when it is too much */
void *emit_take(struct emit *m, size_t count, size_t size); /* NULL: m->e says so */
/** emit_number() - find what was given before. Return: true and its number. */
bool emit_number(const struct map *known, const void *key, size_t size,
		 uint32_t *numberp);
int emit_remember(struct emit *m, struct map *known, const void *key, size_t size,
		  uint32_t number);

/* References, resolved: the targets of one, their slot and file name. */
uint32_t ref_slot(const struct spec_ref *ref, const struct shape *shape);
uint32_t ref_next(const struct targets *t, const struct spec_ref *ref, uint32_t target);
/** ref_tasks() - which tasks of a target are meant. Return: their number. */
uint32_t ref_tasks(const struct targets *t, const struct spec_ref *ref, uint32_t target,
		   uint32_t *firstp);
/** input_names() - how many files an input stands for. Return: true if all have one name. */
bool input_names(const struct targets *t, const struct spec_input *input,
		 uint64_t *membersp);
const char *ref_file_name(const struct targets *t, const struct spec_ref *ref,
			  uint32_t target);
