/* convert_options.c - see convert.h: what is not identity. */
#include "client/convert.h"

#include "common/names.h"

#include <stdlib.h>
#include <string.h>

#define RETRIES_MAX 1000000
#define GRACE_DEFAULT (5 * NS_PER_S)

static int by_resource(const void *a, const void *b)
{
	const struct spec_resource *x = a, *y = b;
	return strcmp(x->name, y->name);
}

/* One cpu unless cpus are named, as in batch files. */
static int convert_resources(struct converter *v, size_t index, struct spec_options *to)
{
	static const struct spec_resource one_cpu = {"cpus", 1000};
	const struct cashet_task *t = &v->tasks[index];
	to->resources = &one_cpu;
	to->resource_count = 1;
	if (!t->resource_count)
		return 0;
	struct spec_resource *all = convert_take(v, t->resource_count + 1, sizeof *all);
	if (!all)
		return ERR_FAILED;
	uint32_t count = 0;
	bool has_cpus = false;
	for (size_t i = 0; i < t->resource_count; i++) {
		const struct cashet_resource *from = &t->resources[i];
		int r = convert_name(v, index, from->name, "a resource");
		if (r)
			return r;
		double scale = strcmp(from->name, "memory") == 0 ? 1 : 1000;
		if (!(from->amount >= 0 && from->amount * scale <= 1e18))
			return convert_fail(v, index, "that is no amount of %s",
					    from->name);
		all[count++] = (struct spec_resource){
			from->name, (uint64_t)(from->amount * scale + 0.5)};
		has_cpus = has_cpus || strcmp(from->name, "cpus") == 0;
	}
	if (!has_cpus)
		all[count++] = one_cpu;
	qsort(all, count, sizeof *all, by_resource);
	for (uint32_t i = 1; i < count; i++)
		if (strcmp(all[i - 1].name, all[i].name) == 0)
			return convert_fail(v, index, "resource \"%s\" is there twice",
					    all[i].name);
	if (count > SPEC_RESOURCES_MAX)
		return convert_fail(v, index,
				    "a task asks for %d resources at most, cpus included",
				    SPEC_RESOURCES_MAX);
	to->resources = all;
	to->resource_count = count;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_in_env(const struct cashet_task *t, const char *name)
{
	for (size_t i = 0; i < t->env_count; i++)
		if (strcmp(t->env[i].key, name) == 0)
			return true;
	return false;
}

static int convert_secrets(struct converter *v, size_t index, struct spec_options *to)
{
	const struct cashet_task *t = &v->tasks[index];
	if (!t->secret_count)
		return 0;
	if (t->secret_count > SPEC_SECRETS_MAX)
		return convert_fail(v, index, "a task has %d secrets at most",
				    SPEC_SECRETS_MAX);
	if (!(to->secrets = convert_take(v, t->secret_count, sizeof *to->secrets)))
		return ERR_FAILED;
	for (size_t i = 0; i < t->secret_count; i++) {
		const char *name = t->secrets[i];
		int r = convert_text(v, index, name, "the name of a secret");
		if (r)
			return r;
		const char *problem = names_secret_problem(name);
		if (problem)
			return convert_fail(v, index, "\"%.128s\" cannot be a secret: %s",
					    name, problem);
		if (is_in_env(t, name))
			return convert_fail(
				v, index,
				"\"%s\" is in env and in secrets: leave it in "
				"one of the two",
				name);
		to->secrets[to->secret_count++] = name;
	}
	qsort(to->secrets, to->secret_count, sizeof *to->secrets, by_text);
	for (uint32_t i = 1; i < to->secret_count; i++)
		if (strcmp(to->secrets[i - 1], to->secrets[i]) == 0)
			return convert_fail(v, index, "\"%s\" is in secrets twice",
					    to->secrets[i]);
	return 0;
}

int convert_options(struct converter *v, size_t index, struct spec_task *to)
{
	const struct cashet_task *t = &v->tasks[index];
	struct spec_options *o = &to->options;
	if (t->retries > RETRIES_MAX)
		return convert_fail(v, index, "%u retries; the limit is %d", t->retries,
				    RETRIES_MAX);
	if (t->cache > CASHET_CACHE_FORCE)
		return convert_fail(v, index, "its cache mode is none of ours");
	o->retries = t->retries;
	o->timeout_ns = t->timeout_ns;
	o->grace_ns = t->grace_ns ? t->grace_ns : GRACE_DEFAULT;
	o->ttl_s = t->ttl_s;
	o->priority = t->priority;
	o->cache = (enum spec_cache)t->cache;
	if (v->options->force)
		o->cache = SPEC_FORCE;
	if (v->options->no_cache)
		o->cache = SPEC_OFF;
	for (size_t i = 0; i < t->best_count; i++) {
		const char *colon = t->best[i] ? strrchr(t->best[i], ':') : NULL;
		if (!colon || colon == t->best[i] ||
		    (strcmp(colon, ":min") && strcmp(colon, ":max")))
			return convert_fail(
				v, index,
				"best is written \"METRIC:min\" or \"METRIC:max\"");
	}
	o->best = (const char **)t->best;
	o->best_count = (uint32_t)t->best_count;
	int r = convert_secrets(v, index, o);
	return r ? r : convert_resources(v, index, o);
}

_Static_assert((int)CASHET_CACHE_OFF == SPEC_OFF && (int)CASHET_CACHE_FORCE == SPEC_FORCE,
	       "the modes are numbered alike");
