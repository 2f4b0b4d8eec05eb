/* data.c - reading, splitting and normalising the digits. What is kept of them is "DIGITS2\n", two
 * 32-bit counts, the pixels as doubles, the labels as bytes. */
#include "data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CASES_MAX 100000
#define VALUES 16 /* of a pixel */

static const char magic[8] = "DIGITS2\n";

struct head {
	char magic[8];
	uint32_t train_count, validation_count;
};

struct digit {
	double pixels[DATA_PIXELS];
	uint8_t label;
};

uint64_t data_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* One line: 64 values from 0 to 16, then the label. */
static int parse_line(char *line, struct digit *digit)
{
	char *at = line;

	for (int i = 0; i <= DATA_PIXELS; i++) {
		char *end;
		double value = strtod(at, &end);

		if (end == at || value < 0 || value > VALUES)
			return 1;
		if (i < DATA_PIXELS) {
			if (*end != ',')
				return 1;
			digit->pixels[i] = value / VALUES;
			at = end + 1;
		} else {
			if (value > 9 || value != (int)value)
				return 1;
			digit->label = (uint8_t)value;
		}
	}
	return 0;
}

static int read_lines(gzFile file, const char *path, struct digit *digits,
		      uint32_t *countp)
{
	char line[1024];
	uint32_t count = 0;

	while (count < CASES_MAX && gzgets(file, line, sizeof line)) {
		if (parse_line(line, &digits[count++])) {
			fprintf(stderr, "digits: %s:%u: not 64 pixels and a label\n",
				path, count);
			return 1;
		}
	}
	*countp = count;
	return 0;
}

static void shuffle(struct digit *digits, uint32_t count, uint64_t seed)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = (uint32_t)(data_random(&seed) % i);
		struct digit swap = digits[i - 1];

		digits[i - 1] = digits[j];
		digits[j] = swap;
	}
}

static void *pack(const struct digit *digits, uint32_t count, size_t *sizep)
{
	size_t pixels_size = (size_t)count * DATA_PIXELS * sizeof(double);
	size_t size = sizeof(struct head) + pixels_size + count;
	uint8_t *bytes = malloc(size);
	struct head head = {.validation_count = count / 5};

	if (!bytes)
		return NULL;
	head.train_count = count - head.validation_count;
	memcpy(head.magic, magic, sizeof magic);
	memcpy(bytes, &head, sizeof head);
	for (uint32_t i = 0; i < count; i++) {
		memcpy(bytes + sizeof head + i * sizeof digits[i].pixels,
		       digits[i].pixels, sizeof digits[i].pixels);
		bytes[sizeof head + pixels_size + i] = digits[i].label;
	}
	*sizep = size;
	return bytes;
}

void *data_read_csv(const char *path, uint32_t cases, uint64_t seed, size_t *sizep)
{
	struct digit *digits = malloc(CASES_MAX * sizeof *digits);
	gzFile file = gzopen(path, "rb");
	uint32_t count = 0;
	void *bytes = NULL;

	if (!file)
		fprintf(stderr, "digits: cannot open %s: %s\n", path, strerror(errno));
	else if (!digits)
		fprintf(stderr, "digits: out of memory\n");
	else if (!read_lines(file, path, digits, &count)) {
		shuffle(digits, count, seed);
		bytes = pack(digits, count < cases ? count : cases, sizep);
	}
	if (file)
		gzclose(file);
	free(digits);
	return bytes;
}

int data_view(struct data *data, const void *bytes, size_t size)
{
	struct head head;
	uint64_t count;

	if (size < sizeof head)
		return 1;
	memcpy(&head, bytes, sizeof head);
	count = (uint64_t)head.train_count + head.validation_count;
	if (memcmp(head.magic, magic, sizeof magic) || !head.train_count ||
	    size != sizeof head + count * (DATA_PIXELS * sizeof(double) + 1))
		return 1;
	data->train_count = head.train_count;
	data->validation_count = head.validation_count;
	data->pixels = (const double *)((const uint8_t *)bytes + sizeof head);
	data->labels = (const uint8_t *)(data->pixels + count * DATA_PIXELS);
	for (uint64_t i = 0; i < count; i++)
		if (data->labels[i] >= DATA_CLASSES)
			return 1;
	return 0;
}
