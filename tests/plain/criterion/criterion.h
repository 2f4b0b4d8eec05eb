/* criterion.h - as much of Criterion's interface as tests of threads use, for builds with the thread
 * sanitizer, under which Criterion itself cannot run (it maps memory where the sanitizer keeps its
 * own). The same sources are then compiled against this: each case is a forked process, and a failed
 * assertion ends it. Options: init, fini, timeout, signal, exit_code, disabled. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct plain_options {
	void (*init)(void), (*fini)(void);
	double timeout;
	int signal, exit_code;
	bool disabled;
	const char *description;
};

struct criterion_test_params {
	size_t size;
	void *params;
	size_t length;
};

struct plain_test {
	const char *suite, *name;
	void (*run)(void);
	/* instead of run, for tests that run once per parameter */
	void (*run_with)(void *param);
	struct criterion_test_params (*params)(void);
	struct plain_options options;
	struct plain_test *next;
};

void plain_add_test(struct plain_test *test);
void plain_add_suite(struct plain_test *suite);
_Noreturn void plain_fail(const char *file, int line, const char *what, const char *fmt,
			  ...) __attribute__((format(printf, 4, 5)));
_Noreturn void plain_skip(void);

#define Test(suite_, name_, ...)                                                         \
	static void suite_##_##name_##_run(void);                                        \
	__attribute__((constructor)) static void suite_##_##name_##_add(void)            \
	{                                                                                \
		static struct plain_test test = {.suite = #suite_,                       \
						 .name = #name_,                         \
						 .run = suite_##_##name_##_run,          \
						 .options = {__VA_ARGS__}};              \
		plain_add_test(&test);                                                   \
	}                                                                                \
	static void suite_##_##name_##_run(void)

#define TestSuite(suite_, ...)                                                           \
	__attribute__((constructor)) static void suite_##_suite_add(void)                \
	{                                                                                \
		static struct plain_test suite = {.suite = #suite_,                      \
						  .options = {__VA_ARGS__}};             \
		plain_add_suite(&suite);                                                 \
	}                                                                                \
	struct plain_test

#define plain_check(condition, what, ...)                                                \
	((condition) ? (void)0 : plain_fail(__FILE__, __LINE__, what, "" __VA_ARGS__))

#define cr_assert(condition, ...) plain_check(condition, #condition, __VA_ARGS__)
#define cr_assert_not(condition, ...)                                                    \
	plain_check(!(condition), "not " #condition, __VA_ARGS__)
#define cr_assert_fail(...) plain_check(false, "failed", __VA_ARGS__)
#define cr_assert_eq(a, b, ...) plain_check((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) plain_check((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) plain_check((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) plain_check((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) plain_check((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) plain_check((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_null(a, ...) plain_check(!(a), #a " is NULL", __VA_ARGS__)
#define cr_assert_not_null(a, ...)                                                       \
	plain_check((a) != NULL, #a " is not NULL", __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)                                                      \
	plain_check(!strcmp(a, b), #a " equals " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)                                                     \
	plain_check(strcmp(a, b), #a " is not " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...)                                                \
	plain_check(!memcmp(a, b, size), #a " equals " #b, __VA_ARGS__)
#define cr_assert_arr_neq(a, b, size, ...)                                               \
	plain_check(memcmp(a, b, size), #a " is not " #b, __VA_ARGS__)
#define cr_expect cr_assert
#define cr_expect_eq cr_assert_eq
#define cr_expect_neq cr_assert_neq
#define cr_expect_str_eq cr_assert_str_eq
#define cr_expect_arr_eq cr_assert_arr_eq
#define cr_skip(...) plain_skip()
#define cr_skip_test(...) plain_skip()
#define cr_log_info(...) ((void)0)
