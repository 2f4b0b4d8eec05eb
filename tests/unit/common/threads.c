/* What common promises to threads: log lines that do not mix, and a choice of SHA-256's
 * implementation that any number of threads may make at once. */
#include "common/log.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define LINES 200

static void run_threads(void *(*work)(void *))
{
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, work, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void *hash(void *unused)
{
	uint8_t digest[DIGEST_SIZE];
	for (int i = 0; i < 100; i++) {
		sha256_digest("", 0, digest);
		if (memcmp(digest, sha256_empty, DIGEST_SIZE) != 0)
			abort();
	}
	return NULL;
}

Test(threads, hash_the_same_from_the_first_use)
{
	run_threads(hash);
}

static void *write_lines(void *unused)
{
	for (int i = 0; i < LINES; i++) {
		log_info("thing done", "filler=%0100d", i);
		log_warn("peer misbehaved", "n=%d", i);
	}
	return NULL;
}

Test(threads, write_whole_log_lines_and_share_the_limit_of_warnings)
{
	char path[] = "/tmp/cashet-log-XXXXXX", line[512];
	int fd = mkostemp(path, O_APPEND), saved = dup(STDERR_FILENO);
	cr_assert(fd >= 0);
	dup2(fd, STDERR_FILENO);
	run_threads(write_lines);
	dup2(saved, STDERR_FILENO);

	size_t done = 0, warned = 0;
	FILE *lines = fdopen(fd, "r");
	rewind(lines);
	while (fgets(line, sizeof line, lines)) {
		bool is_done =
			strstr(line, "Z info  thing done filler=0") && strlen(line) > 140;
		bool is_warning = strstr(line, "Z warn  peer misbehaved n=");
		cr_assert(is_done != is_warning, "%s", line);
		done += is_done;
		warned += is_warning;
	}
	fclose(lines);
	unlink(path);
	cr_assert_eq(done, THREADS * LINES);
	cr_assert_eq(warned, 10);
}
