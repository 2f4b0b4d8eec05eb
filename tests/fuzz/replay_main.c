/* replay_main.c - runs a fuzz target over stored inputs: each argument is a file, or a folder of
 * files. So what the fuzzers once found is tried in every run, by any compiler. */
#include "common/fs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX ((size_t)64 << 20)

static int replay_file(const char *path)
{
	CLEANUP_BUF struct buf input = {0};
	int rc = fs_read_file(path, INPUT_MAX, &input);
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-rc));
		return 1;
	}
	/* A heap copy of just this size, so that reading one byte too many is seen. */
	uint8_t *copy = malloc(input.size ? input.size : 1);
	if (!copy)
		return 1;
	if (input.size)
		memcpy(copy, input.data, input.size);
	LLVMFuzzerTestOneInput(copy, input.size);
	free(copy);
	return 0;
}

static int replay(const char *path, size_t *count)
{
	DIR *dir = opendir(path);
	if (!dir) {
		++*count;
		return replay_file(path);
	}
	int failed = 0;
	for (struct dirent *e; (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		CLEANUP_BUF struct buf name = {0};
		buf_printf(&name, "%s/%s", path, e->d_name);
		++*count;
		failed |= replay_file(buf_cstr(&name));
	}
	closedir(dir);
	return failed;
}

int main(int argc, char **argv)
{
	size_t count = 0;
	int failed = 0;
	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i], &count);
	printf("%zu inputs replayed\n", count);
	return failed || !count;
}
