/* data.h - the digits: 64 pixels scaled to 0..1, a label 0..9, shuffled and split. data.py says the
 * same in Python. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DATA_PIXELS = 64, DATA_CLASSES = 10 };

/* Lies in one piece of memory, which is also what is kept of it: see data_view(). */
struct data {
	uint32_t train_count, validation_count;
	const double *
		pixels; /* [train_count + validation_count][DATA_PIXELS], training cases first */
	const uint8_t *labels; /* [train_count + validation_count] */
};

/** data_read_csv() - read gzipped CSV, shuffle by @seed, keep @cases of them, hold out a fifth.
 * Return: *@sizep bytes for data_view(), to be freed; NULL after saying why on standard error. */
void *data_read_csv(const char *path, uint32_t cases, uint64_t seed, size_t *sizep);
/** data_view() - look at what data_read_csv() made; nothing is copied, @bytes are at a multiple of 8.
 * Return: 0, or 1 if that is not what they are. */
int data_view(struct data *data, const void *bytes, size_t size);

/** A small deterministic generator (splitmix64): the same seed, the same run, everywhere. */
uint64_t data_random(uint64_t *state);
