/* main.c - runs seeds, each in a child process so that an assert of the core is a finding too;
 * shrinks what fails; proves that planted bugs are caught and that a seed is always the same run.
 *
 *   runner SEED [--faults MASK] [--batches N] [--trace]     one seed, again
 *   runner --seeds N [--from SEED]                          N seeds from SEED on, and those in
 *                                                           tests/sim/seeds
 *   runner --bugs N                                         planted bugs, at most N seeds each */
#include "broker/core/plant.h"
#include "tests/sim/sim.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef CASHET_PLANTED
static const char *const plant_names[PLANT_COUNT] = {
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
};
#endif

struct verdict {
	bool ok;
	uint64_t numbers[3]; /* trace hash, steps, messages */
	char why[400];
};

/* One run in a child; what it prints last is why it failed. */
static struct verdict run_in_child(const struct sim_options *options, int plant)
{
	struct verdict v = {0};
	int out[2], back[2], status;
	size_t size = 0;
	ssize_t got;
	pid_t pid;

	fflush(stdout);
	if (pipe(out) || pipe(back))
		abort();
	pid = fork();
	if (!pid) {
		struct sim *s = mem_alloc(sizeof *s);
		uint64_t numbers[3];

		if (!options->trace) {
			dup2(out[1], 1);
			dup2(out[1], 2);
		}
		alarm(30); /* a run that loops for ever is a finding */
#ifdef CASHET_PLANTED
		core_planted = (enum plant)plant;
#else
		(void)plant;
#endif
		s->options = *options;
		sim_run(s);
		numbers[0] = s->trace_hash;
		numbers[1] = s->steps;
		numbers[2] = s->messages;
		free(s);
		exit(write(back[1], numbers, sizeof numbers) == sizeof numbers ? 0 : 1);
	}
	close(out[1]);
	close(back[1]);
	while ((got = read(out[0], v.why + size, sizeof v.why - 1 - size)) > 0)
		size += (size_t)got;
	v.ok = read(back[0], v.numbers, sizeof v.numbers) == sizeof v.numbers;
	close(out[0]);
	close(back[0]);
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		v.ok = false;
	if (!v.ok && !size && WIFSIGNALED(status))
		snprintf(v.why, sizeof v.why, "ended by signal %d", WTERMSIG(status));
	v.why[strcspn(v.why, "\n")] = 0;
	return v;
}

static void say_how_to_replay(const struct sim_options *o)
{
	printf("  replay: ./dev sim %llu", (unsigned long long)o->seed);
	if (o->fault_mask != UINT32_MAX)
		printf(" --faults 0x%x", o->fault_mask);
	if (o->batch_max)
		printf(" --batches %u", o->batch_max);
	printf(" --trace\n");
}

/* Fewer kinds of faults and fewer batches, as long as it still fails. */
static void shrink(struct sim_options o)
{
	for (int i = 0; i < FAULT_COUNT; i++) {
		struct sim_options less = o;

		less.fault_mask &= ~(1u << i);
		if (less.fault_mask != o.fault_mask && !run_in_child(&less, 0).ok)
			o = less;
	}
	for (uint32_t n = 1; n < 8; n++) {
		struct sim_options less = o;

		less.batch_max = n;
		if (!run_in_child(&less, 0).ok) {
			o = less;
			break;
		}
	}
	printf("  needs:");
	for (int i = 0; i < FAULT_COUNT; i++)
		if (o.fault_mask >> i & 1)
			printf(" %s", fault_names[i]);
	printf("\n");
	say_how_to_replay(&o);
}

static bool run_seed(uint64_t seed, bool twice, uint64_t *steps)
{
	struct sim_options o = {.seed = seed, .fault_mask = (1u << FAULT_COUNT) - 1};
	struct verdict v = run_in_child(&o, 0);

	*steps += v.numbers[1];
	if (v.ok && twice) {
		struct verdict again = run_in_child(&o, 0);

		if (again.numbers[0] == v.numbers[0])
			return true;
		printf("FAILED seed %llu: two runs differ\n", (unsigned long long)seed);
		return false;
	}
	if (v.ok)
		return true;
	printf("FAILED seed %llu: %s\n", (unsigned long long)seed, v.why);
	shrink(o);
	return false;
}

static int run_seeds(uint64_t from, uint64_t count)
{
	uint64_t failed = 0, steps = 0;

	for (uint64_t i = 0; i < count && failed < 10; i++)
		failed += !run_seed(from + i, i % 16 == 0, &steps);
	printf("%llu seeds, %llu steps of the core, %llu failed\n",
	       (unsigned long long)count, (unsigned long long)steps,
	       (unsigned long long)failed);
	return failed != 0;
}

#ifdef CASHET_PLANTED
static int run_bugs(uint64_t most)
{
	int missed = 0;

	for (int bug = 1; bug < PLANT_COUNT; bug++) {
		uint64_t seed;
		struct verdict v = {.ok = true};

		for (seed = 1; seed <= most && v.ok; seed++) {
			struct sim_options o = {.seed = seed,
						.fault_mask = (1u << FAULT_COUNT) - 1};

			v = run_in_child(&o, bug);
		}
		if (v.ok)
			printf("MISSED  %-32s by %llu seeds\n", plant_names[bug],
			       (unsigned long long)most);
		else
			printf("caught  %-32s %s\n", plant_names[bug], v.why);
		missed += v.ok;
	}
	printf("%d planted bugs, %d missed\n", PLANT_COUNT - 1, missed);
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

int main(int argc, char **argv)
{
	struct sim_options o = {.fault_mask = (1u << FAULT_COUNT) - 1};
	uint64_t seeds = 0, bugs = 0, from = 1;
	bool one = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--trace")) {
			o.trace = true;
			continue;
		}
		if (argv[i][0] != '-') {
			o.seed = strtoull(argv[i], NULL, 0);
			one = true;
			continue;
		}
		i++;
		if (!strcmp(argv[i - 1], "--seeds"))
			seeds = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i - 1], "--from"))
			from = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i - 1], "--faults"))
			o.fault_mask = (uint32_t)strtoul(value, NULL, 0);
		else if (!strcmp(argv[i - 1], "--batches"))
			o.batch_max = (uint32_t)strtoul(value, NULL, 0);
		else if (!strcmp(argv[i - 1], "--bugs"))
			bugs = strtoull(value, NULL, 0);
		else
			return fprintf(stderr, "runner: unknown option %s\n",
				       argv[i - 1]),
			       2;
	}
	if (bugs)
		return run_bugs(bugs);
	if (one) {
		struct verdict v = run_in_child(&o, 0);

		printf("%s seed %llu %s trace %016llx\n", v.ok ? "ok" : "FAILED",
		       (unsigned long long)o.seed, v.why,
		       (unsigned long long)v.numbers[0]);
		return !v.ok;
	}
	return run_seeds(from, seeds ? seeds : 200);
}
