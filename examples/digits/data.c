/* data.c - reading, splitting and normalising the digits. The file that prep writes is
 * "DIGITS1\n", two 32-bit counts, the pixels as 32-bit floats, the labels as bytes. */
#include "data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char magic[8] = "DIGITS1\n";

uint64_t data_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int data_alloc(struct data *data, uint32_t count)
{
	data->pixels = calloc(count ? count : 1, DATA_PIXELS * sizeof *data->pixels);
	data->labels = calloc(count ? count : 1, 1);
	if (data->pixels && data->labels)
		return 0;
	fprintf(stderr, "digits: out of memory for %u cases\n", count);
	data_fini(data);
	return 1;
}

void data_fini(struct data *data)
{
	free(data->pixels);
	free(data->labels);
	*data = (struct data){0};
}

/* One line: 64 values from 0 to 16, then the label. */
static int parse_line(char *line, float *pixels, uint8_t *label)
{
	char *at = line;

	for (int i = 0; i <= DATA_PIXELS; i++) {
		char *end;
		double value = strtod(at, &end);

		if (end == at || value < 0 || value > 16)
			return 1;
		if (i < DATA_PIXELS) {
			if (*end != ',')
				return 1;
			pixels[i] = (float)(value / 16);
			at = end + 1;
		} else {
			if (value > 9 || value != (int)value)
				return 1;
			*label = (uint8_t)value;
		}
	}
	return 0;
}

static void shuffle(struct data *data, uint32_t count, uint64_t seed)
{
	float swap[DATA_PIXELS];

	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = (uint32_t)(data_random(&seed) % i);
		float *a = data->pixels + (size_t)(i - 1) * DATA_PIXELS;
		float *b = data->pixels + (size_t)j * DATA_PIXELS;
		uint8_t label = data->labels[i - 1];

		memcpy(swap, a, sizeof swap);
		memmove(a, b, sizeof swap);
		memcpy(b, swap, sizeof swap);
		data->labels[i - 1] = data->labels[j];
		data->labels[j] = label;
	}
}

int data_read_csv(struct data *data, const char *path, uint64_t seed)
{
	enum { CASES_MAX = 100000 };
	gzFile file = gzopen(path, "rb");
	char line[1024];
	uint32_t count = 0;

	*data = (struct data){0};
	if (!file) {
		fprintf(stderr, "digits: cannot open %s: %s\n", path, strerror(errno));
		return 1;
	}
	if (data_alloc(data, CASES_MAX)) {
		gzclose(file);
		return 1;
	}
	while (count < CASES_MAX && gzgets(file, line, sizeof line)) {
		if (parse_line(line, data->pixels + (size_t)count * DATA_PIXELS,
			       data->labels + count)) {
			fprintf(stderr, "digits: %s:%u: not 64 pixels and a label\n",
				path, count + 1);
			gzclose(file);
			data_fini(data);
			return 1;
		}
		count++;
	}
	gzclose(file);
	if (count < 10) {
		fprintf(stderr, "digits: %s has only %u cases\n", path, count);
		data_fini(data);
		return 1;
	}
	shuffle(data, count, seed);
	data->validation_count = count / 5;
	data->train_count = count - data->validation_count;
	return 0;
}

int data_save(const struct data *data, const char *path)
{
	size_t count = data->train_count + data->validation_count;
	FILE *file = fopen(path, "wb");
	int bad = !file;

	bad = bad || fwrite(magic, sizeof magic, 1, file) != 1;
	bad = bad || fwrite(&data->train_count, 4, 1, file) != 1;
	bad = bad || fwrite(&data->validation_count, 4, 1, file) != 1;
	bad = bad || fwrite(data->pixels, DATA_PIXELS * 4, count, file) != count;
	bad = bad || fwrite(data->labels, 1, count, file) != count;
	if (file && fclose(file))
		bad = 1;
	if (bad)
		fprintf(stderr, "digits: cannot write %s: %s\n", path, strerror(errno));
	return bad;
}

int data_load(struct data *data, const char *path)
{
	FILE *file = fopen(path, "rb");
	char head[sizeof magic];
	size_t count;

	*data = (struct data){0};
	if (!file) {
		fprintf(stderr, "digits: cannot open %s: %s\n", path, strerror(errno));
		return 1;
	}
	if (fread(head, sizeof head, 1, file) != 1 || memcmp(head, magic, sizeof magic) ||
	    fread(&data->train_count, 4, 1, file) != 1 ||
	    fread(&data->validation_count, 4, 1, file) != 1 ||
	    data->train_count > 1000000 || data->validation_count > 1000000)
		goto malformed;
	count = (size_t)data->train_count + data->validation_count;
	if (data_alloc(data, (uint32_t)count)) {
		fclose(file);
		return 1;
	}
	if (fread(data->pixels, DATA_PIXELS * 4, count, file) != count ||
	    fread(data->labels, 1, count, file) != count)
		goto malformed;
	for (size_t i = 0; i < count; i++)
		if (data->labels[i] >= DATA_CLASSES)
			goto malformed;
	fclose(file);
	return 0;
malformed:
	fprintf(stderr, "digits: %s was not written by `digits prep`\n", path);
	fclose(file);
	data_fini(data);
	return 1;
}
