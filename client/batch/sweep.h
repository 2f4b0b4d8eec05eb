/* sweep.h - the tasks that one entry of a batch file stands for.
 *
 * A sweep is never expanded in memory: it knows its count, and a walk gives one combination of
 * values after the other, always the same ones in the same order:
 *   grid    every combination, the first parameter slowest
 *   random  @n samples. Sample k of a parameter depends on sample_seed, the parameter's name and k
 *           alone, so more samples, or another parameter, never change those that are there:
 *           draw k = output k of splitmix64 started at mix(sample_seed ^ FNV-1a-64(name))
 *   list    as written
 * Combinations that @exclude matches are left out (random: drawn anew), then @include is added. */
#pragma once

#include "client/batch/doc.h"
#include "common/format/value.h"

#define SWEEP_MAX 1000000u	 /* tasks of a file */
#define SWEEP_WALK_MAX 20000000u /* combinations of a grid that exclude is tried on */
#define SWEEP_DRAWS_MAX(n) (10 * (n) + 100000) /* the same for samples */
#define SWEEP_WORK_MAX 1000000000u	       /* and that times its conditions */
#define SWEEP_PARAMS_MAX 256

enum sweep_method { SWEEP_GRID, SWEEP_RANDOM, SWEEP_LIST };
enum axis_kind { AXIS_VALUES, AXIS_RANGE, AXIS_UNIFORM, AXIS_LOG_UNIFORM };

/* A value of a parameter: a plain one; or, for a call, anything that an argument can be, which
 * @rich then knows (call.h) and @value does not. */
struct sweep_rich;
struct sweep_value {
	struct value value;
	const struct sweep_rich *rich; /* or NULL */
};

/* How a value is read where it may be more than a plain one. */
struct sweep_reader {
	void *arg;
	/* Return: as doc_fail(). */
	int (*read)(void *arg, const struct node *node, const char *parameter,
		    struct sweep_value *value);
	bool (*equal)(const struct sweep_rich *a, const struct sweep_rich *b);
};

struct axis {
	const char *name;
	enum axis_kind kind;
	const struct sweep_value
		*values;     /* VALUES; of a grid's intervals, once tabulated; or NULL */
	uint64_t count;	     /* of values, of a range, of points */
	int64_t first, step; /* RANGE */
	double low, high;    /* UNIFORM, LOG_UNIFORM */
	uint64_t stream;     /* of random: where its draws start */
};

enum sweep_op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN };

struct condition {
	uint32_t axis;
	enum sweep_op op;
	const struct sweep_value *values;
	uint32_t count;
};

struct exclusion { /* matches where all its conditions do */
	const struct condition *conditions;
	uint32_t count;
};

struct sweep {
	enum sweep_method method;
	struct axis *axes;
	uint32_t axis_count;
	const struct sweep_value *rows,
		*includes; /* axis_count values each, in the order of @axes */
	uint32_t row_count, include_count;
	const struct exclusion *exclusions;
	uint32_t exclusion_count;
	uint64_t try_max; /* combinations or samples that are tried */
	uint64_t n, sample_seed;
	uint64_t count;			   /* of tasks, all told */
	const struct sweep_reader *reader; /* NULL: all values are plain */
};

/** sweep_parse() - check @node and count. @task: its name, for messages. @reader: of values that
 * may be more than plain ones, borrowed for the sweep's life; or NULL. Return: as doc_fail(). */
int sweep_parse(struct doc *doc, const struct node *node, const char *task,
		const struct sweep_reader *reader, struct sweep **sweepp);
/** sweep_key() - where a parameter of the sweep is written, for messages; NULL if nowhere. */
const struct node *sweep_key(const struct node *sweep, const char *parameter);

/** sweep_tabulate() - work out the points of a grid's intervals. Return: 0, -ENOMEM. */
int sweep_tabulate(struct sweep *sweep, struct arena *arena);

struct sweep_walk {
	const struct sweep *sweep;
	struct sweep_value *
		values; /* of the combination; in the order of axes; texts are borrowed */
	uint64_t *places; /* of each axis in a grid */
	uint64_t step;	  /* combinations, samples or rows tried */
	uint64_t found;	  /* random: samples taken */
	uint32_t included;
};

/** sweep_walk_init() - arrays come from @arena. Return: 0, -ENOMEM. */
int sweep_walk_init(struct sweep_walk *walk, const struct sweep *sweep,
		    struct arena *arena);
/** sweep_walk_next() - the next combination in walk->values. Return: false at the end. */
bool sweep_walk_next(struct sweep_walk *walk);
