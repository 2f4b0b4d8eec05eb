/* task.h - one call, inside: what cashet/task.h shows of it, and what the loop of serve.h does with it.
 *
 * A task is begun, its arguments are read from the frame, the user's function is called, and what it
 * gave is taken. All its memory is in its arena, all its mappings in its list: task_end() gives
 * both back, whatever the function did. */
#pragma once

#include "common/format/call_args.h"
#include "common/json.h"
#include "common/task/frames.h"
#include "runners/c/arena.h"
#include "runners/c/include/cashet/task.h"

struct task_blob {
	struct content content;
	struct frame_blob from; /* borrowed from the frame */
	const void *data;	/* once it is mapped; of from.size bytes */
};

struct task_mapping {
	struct task_mapping *next;
	void *data;
	size_t size;
};

enum task_result {
	TASK_NOTHING,
	TASK_BYTES, /* in @result, or beyond @inline_max in the file */
	TASK_ROOM,  /* in @room */
	TASK_JSON,
};

struct cashet_task {
	struct arena arena;
	struct cashet_info info;

	/* arguments; args.c, blobs.c */
	struct call_args given; /* what they are made of */
	struct cashet_arg *positional, *named;
	size_t positional_count, named_count;
	struct task_blob *blobs;
	size_t blob_count;
	uint32_t *blob_index;	/* 1 + number of a blob, by digest; 0: free */
	size_t blob_mask;	/* its size, a power of two, less 1 */
	const int *descriptors; /* that came with the frame; borrowed */
	size_t descriptor_count;
	struct task_mapping *mappings;

	/* failing */
	bool failed;
	const char *failed_kind; /* static: "exception" or "result" */
	struct buf message;

	/* the result; result.c, json.c */
	enum task_result kind;
	struct buf result;
	size_t inline_max;
	int results;   /* the folder for large ones; borrowed */
	char file[32]; /* the name of this one's file there */
	int fd;	       /* of it, or -1 */
	bool in_file;  /* the whole result is there */
	uint64_t size; /* bytes so far, in whatever place */
	void *room;
	struct json json;
	uint64_t json_objects; /* bit d: the container at depth d is an object */
	bool json_key_given;
	struct keys *json_keys; /* by depth: of the object that is open there; or NULL */
};

/** task_begin() - of @t zeroed, or ended. @results: folder for large results, borrowed.
 * Return: 0; 1 if the arguments are malformed: t->message says how. */
int task_begin(struct cashet_task *t, const struct frame_call *call,
	       const int *descriptors, size_t descriptor_count, int results,
	       size_t inline_max);
/** task_finish() - the function has returned @status: is there a whole result? Then t->kind is not
 * TASK_NOTHING, and t->failed is not set. */
void task_finish(struct cashet_task *t, int status);
/** task_end() - what it held is given back; what a failed one wrote of a result is removed. */
void task_end(struct cashet_task *t);
void task_fini(struct cashet_task *t);

/** task_fail() - the first message counts. @kind: static, see docs/runners.md. */
void task_fail(struct cashet_task *t, const char *kind, const char *format, ...)
	PRINTF(3, 4);
void task_vfail(struct cashet_task *t, const char *kind, const char *format, va_list args)
	PRINTF(3, 0);

/* ---- args.c */

enum arg_pending {
	ARG_KNOWN,
	ARG_JSON_BLOB, /* its type is known when it has been read */
};

struct cashet_arg {
	struct cashet_task *task;
	const struct cashet_arg *parent; /* NULL: it is an argument */
	const char *key;		 /* NULL: it has a position */
	size_t position;
	enum cashet_type type;
	enum arg_pending pending;
	struct task_blob *blob; /* BYTES not yet mapped, JSON; else NULL */
	union {
		bool boolean;
		int64_t i;
		double d;
		struct {
			const char *data; /* TEXT, PATH: with a NUL behind it */
			size_t size;
		};
		struct {
			struct cashet_arg *items; /* LIST, MAP */
			size_t count;
		};
	};
};

/** args_read() - t->positional and t->named from the bytes of a call. Return: 0, 1 if malformed. */
int args_read(struct cashet_task *t, const void *data, size_t size);
/** args_label() - where it stands: "lr", "0", "data.train[3]". In the arena. */
const char *args_label(const struct cashet_arg *arg);

/* ---- blobs.c */

/** blobs_read() - t->blobs from the frame. */
void blobs_read(struct cashet_task *t, const struct frame_call *call);
/** blobs_arg() - what @arg is that names @content; @file: the name of a file argument, or NULL.
 * Return: 0; 1 if the call does not have it, or it is malformed. */
int blobs_arg(struct cashet_task *t, struct cashet_arg *arg,
	      const struct content *content, const char *file);
/** blobs_data() - its bytes; NULL if they cannot be read, then the task has failed. */
const void *blobs_data(struct cashet_task *t, struct task_blob *blob);

/** task_remember() - a mapping that ends with the task. */
void task_remember(struct cashet_task *t, void *data, size_t size);

/* ---- keys.c */

/** keys_open() - an object at depth t->json.depth begins. */
void keys_open(struct cashet_task *t);
/** keys_add() - bytes @at to the end of the result are a key in that object. Return: whether it is new. */
bool keys_add(struct cashet_task *t, size_t at);

/* ---- result.c */

/** result_finish() - a result of nothing is null; what is large goes into its file. */
void result_finish(struct cashet_task *t);

/* ---- json_value.c */

/** json_value_read() - a JSON text as @arg. Return: 0; 1 if it is not JSON. */
int json_value_read(struct cashet_task *t, struct cashet_arg *arg, const void *data,
		    size_t size);
