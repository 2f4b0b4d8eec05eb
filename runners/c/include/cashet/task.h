/* cashet/task.h - functions in C that cashet calls.
 *
 *	#include <cashet/task.h>
 *
 *	int train(struct cashet_task *task)
 *	{
 *		double lr = cashet_float(cashet_arg(task, "lr"));
 *		size_t size;
 *		const float *data = cashet_bytes(cashet_arg(task, "data"), &size);
 *		if (cashet_failed(task))
 *			return 1;
 *		...
 *		cashet_json_object(task);
 *		cashet_json_key(task, "loss");
 *		cashet_json_float(task, loss);
 *		cashet_json_end(task);
 *		return 0;
 *	}
 *
 * and in a batch file `call: train.c:train`. The function is compiled on the worker, stays loaded, and
 * is called by a process that may call it, or others, again: what it leaves in globals stays there.
 *
 * What everything here has in common:
 *
 *   - Errors stick to the task. Reading an argument that is not there, or has another type, gives
 *     0, "", or nothing, and makes the task fail with a message that names the argument; look with
 *     cashet_failed() where it matters. The first message counts.
 *   - Lifetimes: what is returned belongs to cashet and stays until the function returns. What is
 *     passed in is copied or written before the call returns.
 *   - Texts are UTF-8 with a NUL behind them.
 *   - Thread: a task and what was got from it belong to one thread at a time. Threads that the
 *     function starts must have ended when it returns.
 *   - Standard output and error are the task's: printf() as you like.
 */
#ifndef CASHET_TASK_H
#define CASHET_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CASHET_TASK_VERSION 1
#define CASHET_TASK_API __attribute__((__visibility__("default")))
#define CASHET_TASK_PRINTF(text, first)                                                  \
	__attribute__((__format__(__printf__, text, first)))

struct cashet_task; /* one call */
struct cashet_arg;  /* an argument, or a part of one */

/**
 * cashet_function - what a task calls: `int NAME(struct cashet_task *task)`, not static
 *
 * Return: 0 when it is done; anything else makes the task fail, with what cashet_fail() said.
 */
typedef int cashet_function(struct cashet_task *task);

/* ---- arguments ---- */

enum cashet_type {
	CASHET_TYPE_MISSING, /* there is no such argument, item, or member */
	CASHET_TYPE_NULL,
	CASHET_TYPE_BOOL,
	CASHET_TYPE_INT,   /* 64 bits, signed */
	CASHET_TYPE_FLOAT, /* a double; from arguments also NaN and infinities */
	CASHET_TYPE_TEXT,
	CASHET_TYPE_BYTES, /* also what a task returned as bytes, printed, or wrote into a file */
	CASHET_TYPE_LIST, /* also of the results of several tasks */
	CASHET_TYPE_MAP,  /* also of the named outputs of a command */
	CASHET_TYPE_PATH, /* a file or folder: `{file: ...}`, or a folder that a task made */
};

/** cashet_arg() - the argument that was given by this name; never NULL, see cashet_has(). */
CASHET_TASK_API const struct cashet_arg *cashet_arg(struct cashet_task *task,
						    const char *name);
/** cashet_arg_at() - the argument that was given by position, from 0; never NULL. */
CASHET_TASK_API const struct cashet_arg *cashet_arg_at(struct cashet_task *task,
						       size_t position);
/** cashet_arg_or_at() - by name, or else by position: for callers that may write either. */
CASHET_TASK_API const struct cashet_arg *
cashet_arg_or_at(struct cashet_task *task, const char *name, size_t position);
/** cashet_arg_count() - of those by position. */
CASHET_TASK_API size_t cashet_arg_count(struct cashet_task *task);

/** cashet_type() - what it is. A JSON result of another task is what it says: a map, a number, ... */
CASHET_TASK_API enum cashet_type cashet_type(const struct cashet_arg *arg);
/** cashet_type_name() - "float expected": for messages. Static. */
CASHET_TASK_API const char *cashet_type_name(enum cashet_type type);
/** cashet_has() - is it there, and not null? The only question that a missing one answers well. */
CASHET_TASK_API bool cashet_has(const struct cashet_arg *arg);

CASHET_TASK_API bool cashet_bool(const struct cashet_arg *arg);
CASHET_TASK_API int64_t cashet_int(const struct cashet_arg *arg);
/** cashet_float() - an integer is taken too, if a double holds it exactly. */
CASHET_TASK_API double cashet_float(const struct cashet_arg *arg);
/** cashet_text() - a text without a NUL in it. */
CASHET_TASK_API const char *cashet_text(const struct cashet_arg *arg);
/**
 * cashet_bytes() - bytes, or a text as its bytes
 * @sizep: set always; may be NULL
 *
 * What another task made is mapped, not copied: pages are read when they are touched. Aligned
 * to 16 bytes. Writing to it is a crash, never a change for somebody else.
 *
 * Return: never NULL; without a NUL behind it.
 */
CASHET_TASK_API const void *cashet_bytes(const struct cashet_arg *arg, size_t *sizep);
/** cashet_path() - of a file or folder, absolute; it is the task's own, under the name that it had. */
CASHET_TASK_API const char *cashet_path(const struct cashet_arg *arg);
/** cashet_json() - what a JSON result of another task says, as JSON; @sizep may be NULL. */
CASHET_TASK_API const char *cashet_json(const struct cashet_arg *arg, size_t *sizep);

/** cashet_count() - items of a list, members of a map. */
CASHET_TASK_API size_t cashet_count(const struct cashet_arg *arg);
/** cashet_item() - of a list, or of a map in its order; from 0. Never NULL. */
CASHET_TASK_API const struct cashet_arg *cashet_item(const struct cashet_arg *arg,
						     size_t position);
/** cashet_member() - of a map, by its key. Never NULL. */
CASHET_TASK_API const struct cashet_arg *cashet_member(const struct cashet_arg *arg,
						       const char *key);
/** cashet_key() - the key of an item that a map has; "" if it is of a list. */
CASHET_TASK_API const char *cashet_key(const struct cashet_arg *arg);

/* ---- failing ---- */

/** cashet_fail() - the task fails with this message. Return: 1, so `return cashet_fail(...)` works. */
CASHET_TASK_API int cashet_fail(struct cashet_task *task, const char *format, ...)
	CASHET_TASK_PRINTF(2, 3);
/** cashet_failed() - has anything failed so far? */
CASHET_TASK_API bool cashet_failed(const struct cashet_task *task);

/* ---- the result: bytes or JSON; a function that gives none returns a JSON null ---- */

/** cashet_return_bytes() - adds to the result: it may be called many times. Return: 0; 1 if failed. */
CASHET_TASK_API int cashet_return_bytes(struct cashet_task *task, const void *data,
					size_t size);
/** cashet_return_text() - adds to the result, as bytes. Return: 0; 1 if failed. */
CASHET_TASK_API int cashet_return_text(struct cashet_task *task, const char *format, ...)
	CASHET_TASK_PRINTF(2, 3);
/**
 * cashet_return_room() - a result of exactly @size bytes, to be written where this points
 *
 * For large ones: nothing is copied. Aligned to 16 bytes, zeroed; it stays as the function left
 * it. It is the whole result; a second call fails.
 *
 * Return: NULL if failed.
 */
CASHET_TASK_API void *cashet_return_room(struct cashet_task *task, size_t size);

/* JSON, piece by piece: one value, whose objects and arrays are all ended. Pieces in a wrong order make
 * the task fail. Numbers and texts of an object at the top are the metrics of the commit. */
CASHET_TASK_API void cashet_json_object(struct cashet_task *task);
CASHET_TASK_API void cashet_json_array(struct cashet_task *task);
/** cashet_json_end() - of the innermost object or array. */
CASHET_TASK_API void cashet_json_end(struct cashet_task *task);
/** cashet_json_key() - of the value that comes next. One object has a key once. */
CASHET_TASK_API void cashet_json_key(struct cashet_task *task, const char *key);
CASHET_TASK_API void cashet_json_null(struct cashet_task *task);
CASHET_TASK_API void cashet_json_bool(struct cashet_task *task, bool value);
CASHET_TASK_API void cashet_json_int(struct cashet_task *task, int64_t value);
/** cashet_json_float() - finite: JSON has no NaN. Reads back as the same double. */
CASHET_TASK_API void cashet_json_float(struct cashet_task *task, double value);
CASHET_TASK_API void cashet_json_text(struct cashet_task *task, const char *text);

/* ---- about the task ---- */

struct cashet_info {
	const char *name;      /* of the task, or "" */
	const char *batch;     /* 64 hexadecimal digits */
	uint32_t index;	       /* in the batch, from 0 */
	uint32_t attempt;      /* from 1 */
	const char *directory; /* the current one: its own, empty, removed afterwards */
	const char *
		checkpoint; /* a folder that the next attempt finds as this one left it */
};

CASHET_TASK_API const struct cashet_info *cashet_info(struct cashet_task *task);

#ifdef __cplusplus
}
#endif
#endif
