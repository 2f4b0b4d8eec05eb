/* names.c - see names.h. The distance is the optimal string alignment: insertions, deletions,
 * substitutions, and transpositions of neighbours, which is what typing gets wrong. */
#include "common/names.h"

#include <string.h>

#define WORD_MAX 64
#define NAME_MAX_BYTES 128

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Both at most WORD_MAX long. Three rows are enough: a transposition looks two rows back. */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t rows[3][WORD_MAX + 1];
	for (size_t j = 0; j <= b_size; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		size_t *row = rows[i % 3], *before = rows[(i + 2) % 3],
		       *two = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t cost = a[i - 1] != b[j - 1];
			row[j] = least(before[j - 1] + cost,
				       least(before[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				row[j] = least(row[j], two[j - 2] + 1);
		}
	}
	return rows[a_size % 3][b_size];
}

const char *names_suggest(const char *word, const char *const *candidates, size_t count)
{
	size_t word_size = strlen(word);
	if (!word_size || word_size > WORD_MAX)
		return NULL;
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;
	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(candidates[i]);
		if (size > WORD_MAX)
			continue;
		size_t d = distance(word, word_size, candidates[i], size);
		/* One slip in three characters, three at most: beyond it is another word. */
		size_t limit = least((word_size > size ? word_size : size) / 3, 3);
		if (d <= (limit ? limit : 1) && d < least(word_size, size) &&
		    d < best_distance) {
			best = candidates[i];
			best_distance = d;
		}
	}
	return best;
}

bool names_valid(const char *name, bool allow_dot)
{
	size_t i = 0;
	for (; name[i]; i++) {
		char c = name[i];
		bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			     (c >= '0' && c <= '9') || c == '_' || c == '-';
		if (!plain && !(c == '.' && allow_dot && i > 0))
			return false;
		if (i == NAME_MAX_BYTES)
			return false;
	}
	return i > 0;
}

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

const char *names_secret_problem(const char *name)
{
	static const char *const ours[] = {
		"PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR", "CUDA_VISIBLE_DEVICES"};
	size_t size = strnlen(name, NAME_MAX_BYTES + 1);
	bool fine = size && size <= NAME_MAX_BYTES && is_letter(name[0]);
	for (size_t i = 1; fine && i < size; i++)
		fine = is_letter(name[i]) || (name[i] >= '0' && name[i] <= '9');
	if (!fine)
		return "a secret's name is 1 to 128 of A-Z a-z 0-9 _ and does not begin "
		       "with a digit";
	if (strncmp(name, "CASHET_", 7) == 0)
		return "variables that begin with CASHET_ are set by cashet";
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strcmp(name, ours[i]) == 0)
			return "every task has this variable anyway";
	return NULL;
}
