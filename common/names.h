/* names.h - did you mean ...? */
#pragma once

#include "common/pure/base.h"

/** names_suggest() - the candidate nearest to @word by edit distance (transpositions count as
 * one), if near enough to be a slip. Return: borrowed from @candidates, or NULL. */
const char *names_suggest(const char *word, const char *const *candidates, size_t count);
/** names_valid() - true for names of tasks, inputs, outputs, params, workers: 1 to 128 bytes of
 * A-Z a-z 0-9 _ - and, not first, '.' only if @allow_dot. */
bool names_valid(const char *name, bool allow_dot);
/** names_secret_problem() - secrets are variables of tasks and files of the same name: 1 to 128 of
 * A-Z a-z 0-9 _, no digit first, and none that every task has anyway.
 * Return: why @name cannot be one, static; NULL if it can. */
const char *names_secret_problem(const char *name);
