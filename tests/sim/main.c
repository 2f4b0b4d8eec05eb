/* main.c - runs seeds, each in a child process so that an assert of the core is a finding too;
 * shrinks what fails; proves that planted bugs are caught and that a seed is always the same run.
 *
 *   runner SEED [--faults MASK] [--batches N] [--trace]     one seed, again
 *   runner --seeds N [--from SEED] [--failed FILE]          the seeds that once failed (FILE, see
 *                                                           seeds/failed.txt), then N from SEED on
 *   runner_planted --bugs N                                 planted bugs, at most N seeds each
 *   runner_planted SEED --plant BUG                         one of them
 *
 * The last line says how many seeds, or bugs, were as they should be. */
#include "tests/sim/sim.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SIM_FAILED_SEEDS
#define SIM_FAILED_SEEDS "tests/sim/seeds/failed.txt"
#endif

#define FAILURES_MAX 10 /* then it gives up */
#define SECONDS_MAX 100 /* a run that takes longer loops for ever */

int model_planted;

#ifdef CASHET_PLANTED
static const char *const plant_names[PLANT_ALL] = {
	[PLANT_NO_EPOCH_CHECK] = "no epoch check",
	[PLANT_NO_LEASE_CHECK] = "no lease check",
	[PLANT_FOLLOWER_ENDS_TWICE] = "a follower ends twice",
	[PLANT_SILENCE_IGNORED] = "silence is ignored",
	[PLANT_NO_PROMOTION] = "queued leases are not promoted",
	[PLANT_ONE_RETRY_MORE] = "one retry more",
	[PLANT_SKIP_LOST] = "dependants are forgotten",
	[PLANT_CANCEL_KILLS_FOLLOWER] = "cancel forgets followers",
	[PLANT_OVERSUBSCRIBE] = "resources are oversubscribed",
	[PLANT_EARLY_READER] = "readers start early",
	[PLANT_GROUP_FORGETS_READERS] = "a group forgets readers",
	[PLANT_NO_ADOPTION_WAIT] = "no wait for adoption",
	[PLANT_COMMIT_NUMBER_REUSED] = "commit numbers are reused",
	[PLANT_LOSS_COSTS_ATTEMPT] = "a lost worker costs an attempt",
	[PLANT_BACKOFF_FOREVER] = "backoff never ends",
	[PLANT_PAUSE_PER_BATCH] = "any success of a batch counts for all",
	[PLANT_STARVED] = "large requests starve",
	[PLANT_SAME_FULL_WORKER] = "the same full worker again",
	[PLANT_FIRST_REQUEST] = "only the first request counts",
	[PLANT_ACK_BEFORE_COMMIT] = "acknowledged before commit",
	[PLANT_BOOT_REUSED] = "boot generations are reused",
	[PLANT_ENDS_FORGOTTEN] = "a restart forgets what had ended",
	[PLANT_PAUSE_FORGOTTEN] = "a restart forgets a pause",
	[PLANT_GC_IGNORES_LIVE] = "gc ignores leases and batches",
	[PLANT_GC_UNASKED] = "gc removes what is being asked for",
	[PLANT_GC_MARKS_EARLY] = "gc reads the ledger too early",
};

static void plant(int bug)
{
	if (bug < PLANT_COUNT)
		core_planted = (enum plant)bug;
	else
		model_planted = bug;
}
#else
static void plant(int bug)
{
	(void)bug;
}
#endif

/* ---- one run, or some, in a child ---- */

/* That many seeds share a child as long as all is well: with a sanitizer a fork takes longer than a run. */
enum { GROUP = 16, NUMBERS = 3 };

struct verdict {
	bool ok;
	uint64_t numbers[NUMBERS]; /* trace hash, steps, messages */
	char why[2000];
};

static void play(const struct sim_options *options, uint64_t numbers[NUMBERS])
{
	struct sim *s = mem_alloc(sizeof *s);

	alarm(SECONDS_MAX);
	s->options = *options;
	sim_run(s);
	numbers[0] = s->trace_hash;
	numbers[1] = s->steps;
	numbers[2] = s->messages;
	free(s);
}

/* @count seeds, from that of @options on. */
static _Noreturn void child(const struct sim_options *options, uint32_t count,
			    const int out[2], const int back[2])
{
	struct sim_options o = *options;
	uint64_t numbers[GROUP][NUMBERS];
	ssize_t size = (ssize_t)(count * sizeof numbers[0]);

	if (!o.trace) {
		dup2(out[1], 1);
		dup2(out[1], 2);
	}
	plant(o.plant);
	for (uint32_t i = 0; i < count; i++, o.seed++)
		play(&o, numbers[i]);
	exit(write(back[1], numbers, (size_t)size) == size ? 0 : 1);
}

/* The first line that says something; sanitizers begin with a rule. */
static void first_line(char *text)
{
	char *from = text + strspn(text, "=\n");

	memmove(text, from, strlen(from) + 1);
	text[strcspn(text, "\n")] = 0;
}

static struct verdict run_group(const struct sim_options *options, uint32_t count,
				uint64_t numbers[][NUMBERS])
{
	struct verdict v = {0};
	int out[2], back[2], status;
	size_t size = 0;
	ssize_t got, wanted = (ssize_t)(count * sizeof numbers[0]);
	pid_t pid;

	fflush(stdout);
	if (pipe(out) || pipe(back))
		abort();
	pid = fork();
	if (!pid)
		child(options, count, out, back);
	close(out[1]);
	close(back[1]);
	while ((got = read(out[0], v.why + size, sizeof v.why - 1 - size)) > 0)
		size += (size_t)got;
	v.ok = read(back[0], numbers, (size_t)wanted) == wanted;
	close(out[0]);
	close(back[0]);
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		v.ok = false;
	if (!v.ok && !size && WIFSIGNALED(status))
		snprintf(v.why, sizeof v.why, "ended by signal %d", WTERMSIG(status));
	first_line(v.why);
	return v;
}

static struct verdict run_in_child(const struct sim_options *options)
{
	uint64_t numbers[1][NUMBERS] = {0};
	struct verdict v = run_group(options, 1, numbers);

	memcpy(v.numbers, numbers[0], sizeof v.numbers);
	return v;
}

/* ---- what failed ---- */

static void say_how_to_replay(const struct sim_options *o)
{
	printf("  replay: ./dev sim %llu", (unsigned long long)o->seed);
	if (o->fault_mask != (1u << FAULT_COUNT) - 1)
		printf(" --faults 0x%x", o->fault_mask);
	if (o->batch_max)
		printf(" --batches %u", o->batch_max);
	printf(" --trace\n");
}

/* Fewer kinds of faults and fewer batches, as long as it still fails. */
static void shrink(struct sim_options o)
{
	struct verdict v = {0};

	for (int i = 0; i < FAULT_COUNT; i++) {
		struct sim_options less = o;

		less.fault_mask &= ~(1u << i);
		if (!run_in_child(&less).ok)
			o = less;
	}
	for (uint32_t n = 1; n < 8; n++) {
		struct sim_options less = o;

		less.batch_max = n;
		v = run_in_child(&less);
		if (!v.ok) {
			o = less;
			break;
		}
	}
	if (!v.ok && v.why[0])
		printf("  reduced: %s\n", v.why);
	printf("  needs:");
	for (int i = 0; i < FAULT_COUNT; i++)
		if (o.fault_mask >> i & 1)
			printf(" %s", fault_names[i]);
	printf("\n");
	say_how_to_replay(&o);
}

/* ---- many ---- */

struct tally {
	uint64_t passed, failed, steps;
};

static void run_seed(uint64_t seed, bool twice, struct tally *t)
{
	struct sim_options o = {.seed = seed, .fault_mask = (1u << FAULT_COUNT) - 1};
	struct verdict v;

	if (t->failed >= FAILURES_MAX)
		return;
	v = run_in_child(&o);
	t->steps += v.numbers[1];
	if (v.ok && twice && run_in_child(&o).numbers[0] != v.numbers[0]) {
		printf("FAILED seed %llu: two runs differ\n", (unsigned long long)seed);
		t->failed++;
	} else if (v.ok) {
		t->passed++;
	} else {
		printf("FAILED seed %llu: %s\n", (unsigned long long)seed, v.why);
		t->failed++;
		shrink(o);
	}
}

/* The first one runs twice, the second time alone. */
static void run_seeds_from(uint64_t seed, uint32_t count, struct tally *t)
{
	struct sim_options o = {.seed = seed, .fault_mask = (1u << FAULT_COUNT) - 1};
	uint64_t numbers[GROUP][NUMBERS];
	bool ok = run_group(&o, count, numbers).ok &&
		  run_in_child(&o).numbers[0] == numbers[0][0];

	for (uint32_t i = 0; i < count; i++) {
		if (!ok) {
			run_seed(seed + i, i == 0, t);
			continue;
		}
		t->passed++;
		t->steps += numbers[i][1];
	}
}

/* One per line; # begins a comment. */
static void run_failed_before(const char *path, struct tally *t)
{
	char line[400];
	uint64_t *seeds = NULL;
	size_t count = 0, capacity = 0;
	FILE *f = fopen(path, "r");

	if (!f) {
		printf("FAILED %s cannot be read\n", path);
		t->failed++;
		return;
	}
	while (fgets(line, sizeof line, f)) {
		char *end;
		uint64_t seed = strtoull(line, &end, 10);

		if (end == line)
			continue;
		mem_grow(seeds, count, capacity);
		seeds[count++] = seed;
	}
	fclose(f); /* before a child ends: its exit() would set the shared file back */
	for (size_t i = 0; i < count; i++)
		run_seed(seeds[i], false, t);
	free(seeds);
}

static int run_seeds(uint64_t from, uint64_t count, const char *failed_before)
{
	struct tally t = {0};

	if (failed_before[0])
		run_failed_before(failed_before, &t);
	for (uint64_t i = 0; i < count && t.failed < FAILURES_MAX; i += GROUP)
		run_seeds_from(from + i,
			       count - i < GROUP ? (uint32_t)(count - i) : GROUP, &t);
	printf("%llu steps of the core\n", (unsigned long long)t.steps);
	printf("%llu passed, %llu failed\n", (unsigned long long)t.passed,
	       (unsigned long long)t.failed);
	return t.failed != 0;
}

#ifdef CASHET_PLANTED
static int run_bugs(uint64_t most)
{
	int missed = 0, count = 0;

	for (int bug = 1; bug < PLANT_ALL; bug++) {
		struct verdict v = {.ok = true};
		uint64_t seed = 0;

		if (!plant_names[bug])
			continue; /* the place between core and models */
		while (v.ok && seed < most) {
			struct sim_options o = {.seed = ++seed,
						.fault_mask = (1u << FAULT_COUNT) - 1,
						.plant = bug};

			v = run_in_child(&o);
		}
		if (v.ok)
			printf("MISSED  %-32s by %llu seeds\n", plant_names[bug],
			       (unsigned long long)most);
		else
			printf("caught  %-32s by seed %-3llu %s\n", plant_names[bug],
			       (unsigned long long)seed, v.why);
		missed += v.ok;
		count++;
	}
	printf("%d passed, %d failed\n", count - missed, missed);
	return missed != 0;
}
#else
static int run_bugs(uint64_t most)
{
	(void)most;
	fprintf(stderr, "runner: built without planted bugs; use runner_planted\n");
	return 2;
}
#endif

static int run_one(const struct sim_options *o)
{
	struct verdict v = run_in_child(o);

	printf("%s seed %llu %s trace %016llx\n", v.ok ? "ok" : "FAILED",
	       (unsigned long long)o->seed, v.why, (unsigned long long)v.numbers[0]);
	return !v.ok;
}

int main(int argc, char **argv)
{
	struct sim_options o = {.fault_mask = (1u << FAULT_COUNT) - 1};
	const char *failed_before = SIM_FAILED_SEEDS;
	uint64_t seeds = 200, bugs = 0, from = 1;
	bool one = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(name, "--trace")) {
			o.trace = true;
			continue;
		}
		if (name[0] != '-') {
			o.seed = strtoull(name, NULL, 0);
			one = true;
			continue;
		}
		i++;
		if (!strcmp(name, "--seeds"))
			seeds = strtoull(value, NULL, 0);
		else if (!strcmp(name, "--from"))
			from = strtoull(value, NULL, 0);
		else if (!strcmp(name, "--failed"))
			failed_before = value;
		else if (!strcmp(name, "--faults"))
			o.fault_mask = (uint32_t)strtoul(value, NULL, 0);
		else if (!strcmp(name, "--batches"))
			o.batch_max = (uint32_t)strtoul(value, NULL, 0);
		else if (!strcmp(name, "--bugs"))
			bugs = strtoull(value, NULL, 0);
		else if (!strcmp(name, "--plant"))
			o.plant = atoi(value);
		else
			return fprintf(stderr, "runner: unknown option %s\n", name), 2;
	}
	if (bugs)
		return run_bugs(bugs);
	return one ? run_one(&o) : run_seeds(from, seeds, failed_before);
}
