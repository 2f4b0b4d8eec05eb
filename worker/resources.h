/* resources.h - what a worker has, what its running tasks hold, and which devices they got. */
#pragma once

#include "common/pure/base.h"

#define RESOURCES_MAX 16
#define RESOURCE_NAME_MAX 32
#define GPUS_MAX 64

struct resource {
	/* "cpus", "gpus" and others in 1/1000, "memory" in bytes */
	char name[RESOURCE_NAME_MAX];
	uint64_t amount;
};

struct resources {
	struct resource items[RESOURCES_MAX];
	size_t count;
};

struct capacity {
	struct resources total, used; /* same names in the same places */
	uint32_t gpu_index[GPUS_MAX];
	uint32_t gpu_free[GPUS_MAX]; /* 1/1000 of each device */
	size_t gpu_count;
};

struct grant {			      /* what one running task holds */
	const struct resources *held; /* borrowed; NULL: nothing */
	uint16_t gpu_milli[GPUS_MAX]; /* of each device */
	bool has_gpus;
};

/** resources_set() - add or replace. Return: 0, 1 if there are too many or the name is too long. */
int resources_set(struct resources *r, const char *name, uint64_t amount);
uint64_t resources_get(const struct resources *r, const char *name); /* 0 if absent */

/** capacity_add() - a resource of the worker; "gpus" only by capacity_add_gpu(). 0 or 1. */
int capacity_add(struct capacity *c, const char *name, uint64_t amount);
int capacity_add_gpu(struct capacity *c, uint32_t index);
/** capacity_never() - name of a resource of which @want asks for more than there is, or NULL. */
const char *capacity_never(const struct capacity *c, const struct resources *want);
/** resources_equal() - the same amounts, in the same order. */
bool resources_equal(const struct resources *a, const struct resources *b);
/** capacity_take() - all of @want (which stays borrowed until capacity_give()) or nothing. A whole GPU is a device of its own; a fraction shares
 * the device with the least room that suffices. Return: false if it does not fit now. */
bool capacity_take(struct capacity *c, const struct resources *want, struct grant *grant);
void capacity_give(struct capacity *c, struct grant *grant);
/** grant_devices() - "0,2" for CUDA_VISIBLE_DEVICES. */
void grant_devices(const struct capacity *c, const struct grant *grant, char *out,
		   size_t size);
