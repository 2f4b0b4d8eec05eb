/* data.h - the digits: 64 pixels scaled to 0..1, a label 0..9, shuffled and split. */
#pragma once

#include <stdint.h>

enum { DATA_PIXELS = 64, DATA_CLASSES = 10 };

struct data {
	uint32_t train_count, validation_count;
	float *pixels;	 /* [train_count + validation_count][DATA_PIXELS], training cases
			    first */
	uint8_t *labels; /* [train_count + validation_count] */
};

/** data_read_csv() - read gzipped CSV, shuffle by @seed, hold out a fifth. Return: 0, or
 * 1 after saying why on standard error. data_fini() it. */
int data_read_csv(struct data *data, const char *path, uint64_t seed);
int data_save(const struct data *data, const char *path);
int data_load(struct data *data, const char *path);
void data_fini(struct data *data);

/** A small deterministic generator (splitmix64): the same seed, the same run, everywhere.
 */
uint64_t data_random(uint64_t *state);
