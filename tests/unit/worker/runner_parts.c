/* Parts of the worker's side of calls that need no process: how long calls take, small blobs in memory, what
 * makes two runners the same kind. */
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/runner/kind.h"
#include "worker/runner/memory.h"
#include "worker/runner/pace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static uint64_t pace_of(uint64_t ns)
{
	struct pace p = {0};
	pace_learn(&p, ns);
	return pace_ns(&p);
}

Test(pace, is_about_right_for_every_duration)
{
	struct pace none = {0};
	cr_assert_eq(pace_ns(&none), 0);
	cr_assert_geq(pace_of(0), 1, "what is known is not 0");
	for (uint64_t ns = 2; ns < 1ull << 62; ns = ns * 3 / 2 + 1) {
		cr_assert_leq(pace_of(ns), ns);
		cr_assert_geq(pace_of(ns), ns - ns / 100 - 1, "%llu",
			      (unsigned long long)ns);
	}
	cr_assert_geq(pace_of(UINT64_MAX), 1ull << 63);
}

Test(pace, forgives_one_slow_call_and_notices_many)
{
	struct pace p = {0};
	for (int i = 0; i < 20; i++)
		pace_learn(&p, 10000);
	pace_learn(&p, 10000000);
	cr_assert_leq(pace_ns(&p), 30000);
	for (int i = 0; i < 12; i++)
		pace_learn(&p, 10000000);
	cr_assert_geq(pace_ns(&p), 1000000);
	for (int i = 0; i < 40; i++)
		pace_learn(&p, 10000);
	cr_assert_leq(pace_ns(&p), 12000);
}

Test(memory, keeps_what_was_used_last)
{
	struct memory m;
	uint8_t digest[DIGEST_SIZE], first[DIGEST_SIZE];
	static char data[MEMORY_BLOB_MAX + 1];
	size_t size;
	memory_init(&m);
	sha256_digest("first", 5, first);
	cr_assert_null(memory_get(&m, first, &size));
	memory_put(&m, first, "first", 5);
	memory_put(&m, sha256_empty, NULL, 0);
	cr_assert_not_null(memory_get(&m, sha256_empty, &size));
	cr_assert_eq(size, 0);
	for (uint32_t i = 0; i < 3 * MEMORY_MAX / MEMORY_BLOB_MAX; i++) {
		memcpy(data, &i, sizeof i);
		sha256_digest(data, MEMORY_BLOB_MAX, digest);
		memory_put(&m, digest, data, MEMORY_BLOB_MAX);
		const char *have = memory_get(&m, first, &size);
		cr_assert(have && size == 5 && !memcmp(have, "first", 5),
			  "it is used again and again");
		cr_assert_leq(m.bytes, MEMORY_MAX);
	}
	cr_assert_null(memory_get(&m, sha256_empty, &size), "that was long ago");
	cr_assert_geq(m.bytes, MEMORY_MAX / 2);
	sha256_digest(data, sizeof data, digest);
	memory_put(&m, digest, data, sizeof data);
	cr_assert_null(memory_get(&m, digest, &size), "too large");
	memory_fini(&m);
}

Test(kind, is_all_that_a_runner_is_started_with)
{
	struct kinds kinds;
	struct err e = {0};
	struct function_pair env[] = {{"A", "1"}, {"B", "2"}};
	struct function f = {.language = "python", .env = env, .env_count = 1};
	struct buf outer = {0};
	struct resources cpu = {0}, more = {0};
	char *secrets[] = {"TOKEN"};
	buf_add(&outer, "PATH=/bin", 10);
	resources_set(&cpu, "cpus", 1000);
	resources_set(&more, "cpus", 2000);
	kinds_init(&kinds);
	struct kind_want want = {
		.function = &f, .outer = &outer, .outer_count = 1, .resources = &cpu};
	struct kind *a = kinds_get(&kinds, &want, &e), *others[6];
	f.salt = "another function";
	f.identity[0] = 1;
	cr_assert_eq(kinds_get(&kinds, &want, &e), a);
	kind_unref(a);
	cr_assert_eq(a->env_count, 2);
	cr_assert_arr_eq(a->env.data, "PATH=/bin\0A=1", 14);
	f.env_count = 2;
	others[0] = kinds_get(&kinds, &want, &e);
	f.env_count = 1;
	want.interpreter = "/venv/bin/python";
	others[1] = kinds_get(&kinds, &want, &e);
	want.interpreter = NULL;
	want.resources = &more;
	others[2] = kinds_get(&kinds, &want, &e);
	want.resources = &cpu;
	want.secrets = secrets;
	want.secret_count = 1;
	others[3] = kinds_get(&kinds, &want, &e);
	want.secret_count = 0;
	f.language = "c";
	others[4] = kinds_get(&kinds, &want, &e);
	f.language = "python";
	env[0].value = "3";
	others[5] = kinds_get(&kinds, &want, &e);
	for (int i = 0; i < 6; i++) {
		cr_assert_neq(others[i], a);
		for (int k = 0; k < i; k++)
			cr_assert_neq(others[i], others[k]);
	}
	env[0].value = "${p.lr}";
	cr_assert_null(kinds_get(&kinds, &want, &e));
	cr_assert_not_null(strstr(e.what, "${p.lr}"));
	for (int i = 0; i < 6; i++)
		kind_unref(others[i]);
	kind_unref(a);
	cr_assert(list_empty(&kinds.all));
	buf_fini(&outer);
}
