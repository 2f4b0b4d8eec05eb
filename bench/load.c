/* load.c - the client side of the benchmarks: uses libcashet as any program would. The
 * broker is found as always ($CASHET_BROKER, ...). Each subcommand prints figures as
 * "name value" lines.
 *
 *   load tasks N SALT       N independent tasks in one batch, submit to last result:
 * tasks/s load chain N SALT       N tasks, each reads the one before: tasks/s load
 * enqueue N SALT     N tasks, submitted and left: seconds load cached             one
 * cached task, submit to result: microseconds, p50 load fresh COUNT SALT   one new task
 * at a time, durable: microseconds, p50 load put FILE           bytes/s; prints the
 * digest too load get DIGEST         bytes/s */
#include "client/cashet.h"
#include "common/clock.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void check(int code, const struct cashet_error *e)
{
	if (!code)
		return;
	fprintf(stderr, "load: %s\n%s\n", e->what, e->next);
	exit(code);
}

/* The same function with one parameter: what a sweep looks like. */
struct many {
	struct cashet_task *tasks;
	struct cashet_param *params;
	struct cashet_source *sources;
	struct cashet_input *inputs;
	size_t count;
};

static const char *const argv_plain[] = {"true", "${p.i}"};
static const char *const argv_chain[] = {"true", "${p.i}", "${inputs.before}"};

static struct many make_many(size_t count, const char *salt, bool chain)
{
	struct many m = {.tasks = mem_alloc(count * sizeof *m.tasks),
			 .params = mem_alloc(count * sizeof *m.params),
			 .count = count};

	if (chain) {
		m.sources = mem_alloc(count * sizeof *m.sources);
		m.inputs = mem_alloc(count * sizeof *m.inputs);
	}
	for (size_t i = 0; i < count; i++) {
		struct cashet_task *task = &m.tasks[i];

		m.params[i] = (struct cashet_param){
			.name = "i",
			.value = {.type = CASHET_INT, .i = (int64_t)i},
		};
		task->name = "noop";
		task->argv = argv_plain;
		task->argc = 2;
		task->params = &m.params[i];
		task->param_count = 1;
		task->salt = salt;
		if (!chain || !i)
			continue;
		m.sources[i] = (struct cashet_source){
			.kind = CASHET_SOURCE_REF,
			.ref = {.index = (uint32_t)(i - 1)},
		};
		m.inputs[i] = (struct cashet_input){
			.name = "before", .sources = &m.sources[i], .source_count = 1};
		task->argv = argv_chain;
		task->argc = 3;
		task->inputs = &m.inputs[i];
		task->input_count = 1;
	}
	return m;
}

static void free_many(struct many *m)
{
	free(m->tasks);
	free(m->params);
	free(m->sources);
	free(m->inputs);
}

static double seconds_since(uint64_t start)
{
	return (double)(clock_mono_ns() - start) / 1e9;
}

static void run_tasks(struct cashet *c, size_t count, const char *salt, bool chain,
		      bool wait)
{
	struct many m = make_many(count, salt, chain);
	struct cashet_counts counts = {0};
	struct cashet_error e = {0};
	char batch[CASHET_HEX_SIZE];
	uint64_t start = clock_mono_ns();

	check(cashet_submit_many(c, m.tasks, count, NULL, batch, &e), &e);
	printf("submit_seconds %.3f\n", seconds_since(start));
	if (wait) {
		check(cashet_wait(c, batch, NULL, &counts, &e), &e);
		printf("tasks_per_second %.0f\n", (double)count / seconds_since(start));
		printf("executed %llu\ncached %llu\nfailed %llu\n",
		       (unsigned long long)counts.executed,
		       (unsigned long long)counts.cached,
		       (unsigned long long)(counts.failed + counts.skipped));
	}
	printf("batch %s\n", batch);
	free_many(&m);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* p50 of submit to result for one task at a time. */
static void run_one_by_one(struct cashet *c, size_t count, const char *salt, bool fresh)
{
	const struct cashet_submit_options options = {.no_sync = true};
	enum { WARM = 20 };
	uint64_t *ns = mem_alloc(count * sizeof *ns);
	struct many m = make_many(fresh ? count + WARM : 1, salt, false);

	for (size_t i = 0; i < count + WARM; i++) {
		struct cashet_error e = {0};
		char batch[CASHET_HEX_SIZE];
		uint64_t start = clock_mono_ns();

		check(cashet_submit(c, &m.tasks[fresh ? i : 0], &options, batch, &e), &e);
		check(cashet_wait(c, batch, NULL, NULL, &e), &e);
		if (i >= WARM)
			ns[i - WARM] = clock_mono_ns() - start;
		check(cashet_sync(c, &e), &e);
	}
	qsort(ns, count, sizeof *ns, by_value);
	printf("p50_us %.1f\np99_us %.1f\nmax_us %.1f\n", (double)ns[count / 2] / 1e3,
	       (double)ns[count * 99 / 100] / 1e3, (double)ns[count - 1] / 1e3);
	free(ns);
	free_many(&m);
}

static int count_bytes(void *arg, const void *data, size_t size)
{
	(void)data;
	*(uint64_t *)arg += size;
	return 0;
}

static void run_put(struct cashet *c, const char *path)
{
	struct cashet_error e = {0};
	char hex[HEX_DIGEST_SIZE];
	uint8_t digest[32];
	uint64_t start = clock_mono_ns();
	struct stat st;

	check(cashet_put_file(c, path, digest, &e), &e);
	stat(path, &st);
	printf("bytes_per_second %.0f\ndigest %s\n",
	       (double)st.st_size / seconds_since(start),
	       hex_encode(hex, digest, sizeof digest));
}

static void run_get(struct cashet *c, const char *hex)
{
	struct cashet_error e = {0};
	uint64_t start = clock_mono_ns(), size = 0;
	uint8_t digest[32];

	if (hex_decode(digest, sizeof digest, hex)) {
		fprintf(stderr, "load: not a digest: %s\n", hex);
		exit(2);
	}
	check(cashet_get_blob(c, digest, count_bytes, &size, &e), &e);
	printf("bytes_per_second %.0f\n", (double)size / seconds_since(start));
}

/* Most memory that this process ever had: the bound for blobs is per process. */
static void print_peak(void)
{
	char line[256];
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, "VmHWM:", 6))
			printf("peak_kib %s", line + 6 + strspn(line + 6, " \t"));
	if (file)
		fclose(file);
}

int main(int argc, char **argv)
{
	const struct cashet_options options = {.name = "load", .insecure = true};
	const char *what = argc > 1 ? argv[1] : "";
	size_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	const char *salt = argc > 3 ? argv[3] : "";
	struct cashet_error e = {0};
	struct cashet *c;

	check(cashet_open(&c, &options, &e), &e);
	print_peak();
	if (!strcmp(what, "tasks") && count)
		run_tasks(c, count, salt, false, true);
	else if (!strcmp(what, "chain") && count)
		run_tasks(c, count, salt, true, true);
	else if (!strcmp(what, "enqueue") && count)
		run_tasks(c, count, salt, false, false);
	else if (!strcmp(what, "cached"))
		run_one_by_one(c, 2000, "cached", false);
	else if (!strcmp(what, "fresh") && count)
		run_one_by_one(c, count, salt, true);
	else if (!strcmp(what, "put") && argc > 2)
		run_put(c, argv[2]);
	else if (!strcmp(what, "get") && argc > 2)
		run_get(c, argv[2]);
	else
		fprintf(stderr, "load: see the head of bench/load.c\n");
	print_peak();
	cashet_close(c);
	return 0;
}
