/* parameterized.h - tests that run once per parameter; see criterion.h of this folder. */
#pragma once

#include <criterion/criterion.h>

#define cr_make_param_array(type, array, count)                                          \
	((struct criterion_test_params){sizeof(type), (void *)(array), count})

#define ParameterizedTestParameters(suite_, name_)                                       \
	static struct criterion_test_params suite_##_##name_##_params(void)

#define ParameterizedTest(param, suite_, name_, ...)                                     \
	static void suite_##_##name_##_run(param);                                       \
	static void suite_##_##name_##_run_with(void *at)                                \
	{                                                                                \
		suite_##_##name_##_run(at);                                              \
	}                                                                                \
	__attribute__((constructor)) static void suite_##_##name_##_add(void)            \
	{                                                                                \
		static struct plain_test test = {.suite = #suite_,                       \
						 .name = #name_,                         \
						 .run_with =                             \
							 suite_##_##name_##_run_with,    \
						 .params = suite_##_##name_##_params,    \
						 .options = {__VA_ARGS__}};              \
		plain_add_test(&test);                                                   \
	}                                                                                \
	static void suite_##_##name_##_run(param)
