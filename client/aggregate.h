/* aggregate.h - numbers of many tasks as a few per group: count, mean, spread.
 *
 * A group is what tasks with the same values of some parameters are. Numbers are compared by value,
 * so 1 and 1.0 are one group; a text equals no number. Memory goes with groups times metrics, not with
 * tasks; only the median needs the numbers themselves (8 bytes each). Part of libcashet: out of memory is
 * an error, which @failed keeps; then nothing more is counted. */
#pragma once

#include "client/cashet.h"
#include "client/intern.h"

enum summary_kind {
	SUMMARY_N,
	SUMMARY_MEAN,
	SUMMARY_STD, /* of a sample: divided by n - 1 */
	SUMMARY_MIN,
	SUMMARY_MAX,
	SUMMARY_MEDIAN,
	SUMMARY_SUM,
	SUMMARY_KINDS,
};
extern const char *const summary_names[SUMMARY_KINDS];

/* Welford's mean and sum of squared differences: stable where a sum of squares is not. */
struct summary {
	uint64_t n;
	double mean, squares, min, max;
	double sum, lost; /* and what rounding has taken off it (Neumaier) */
	double *values;	  /* for the median */
	size_t value_count, value_capacity;
};

/** summary_add() - Return: false out of memory, which only a kept value can be. */
bool summary_add(struct summary *s, double x, bool keep_value);
/** summary_get() - Return: false where there is none: of nothing, or the spread of one number. The
 * median sorts the kept values. */
bool summary_get(struct summary *s, enum summary_kind kind, double *out);
void summary_fini(struct summary *s);

struct aggregate_group {
	uint64_t tasks, completed;
	struct summary *summaries; /* by number of the metric; @summary_count of them */
	size_t summary_count;
};

struct aggregate_metric {   /* what could not be counted in */
	uint64_t numbers;   /* that could */
	uint64_t texts;	    /* a text where a number should be */
	uint64_t nonfinite; /* NaN, infinite */
	uint32_t first;	    /* index of the first task with one of these */
	char shown[32];	    /* what it was */
};

struct aggregate {
	const char *const *by; /* names of parameters; borrowed */
	size_t by_count;
	bool medians;
	struct intern keys, metrics,
		params;			/* metrics, params: all names that were met */
	struct aggregate_group *groups; /* by number of the key */
	struct cashet_value *values;	/* @by_count of each group; texts are ours */
	size_t group_capacity;
	struct aggregate_metric *infos; /* by number of the metric */
	size_t info_capacity;
	uint64_t tasks, left_out; /* without one of the parameters */
	bool failed;
};

/** aggregate_init() - @by: borrowed until aggregate_fini(). */
void aggregate_init(struct aggregate *a, const char *const *by, size_t by_count,
		    bool medians);
void aggregate_fini(struct aggregate *a);
void aggregate_add(struct aggregate *a, const struct cashet_result *r);
/** aggregate_order() - numbers of the groups in the order to show them: by the first parameter, then
 * the second, ...: by value if all its values are numbers, else in order of appearance. Heap; NULL out of
 * memory. */
uint32_t *aggregate_order(const struct aggregate *a);
/** aggregate_get() - of group @group and metric @metric; as summary_get(). */
bool aggregate_get(struct aggregate *a, uint32_t group, uint32_t metric,
		   enum summary_kind kind, double *out);
