/* tables.c - the one table of commands, and all that is made from it: nothing in it is forgotten in the
 * help, the manual pages and the completion of a shell. */
#include "client/cli/completion.h"
#include "client/cli/manual.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static bool is_complete_kind(const char *kind)
{
	static const char *const kinds[] = {
		"file",	  "dir",    "batch",	  "task", "batch-or-task", "commit",
		"pin",	  "func",   "input",	  "tag",  "param",	   "metric",
		"output", "worker", "worker-key", "key",  "command"};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return *kind == '=';
}

static const char *line_of(struct buf *text, const char *begin)
{
	const char *at = strstr(buf_cstr(text), begin);
	cr_assert_not_null(at, "no %s", begin);
	static char line[8192];
	snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

/* As in a manual page: dashes are escaped. */
static void escape(char *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '-')
			*out++ = '\\';
		*out++ = *text;
	}
	*out = '\0';
}

static bool is_for(const struct option_row *row, const struct command *command)
{
	return row->set & (OPTIONS_GLOBAL | command->options);
}

Test(tables, every_row_says_what_it_is)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		cr_expect(c->run && c->name && c->words && c->summary, "%s", c->name);
		cr_expect(c->least <= c->most, "%s", c->name);
		cr_expect((c->most > 0) == (*c->words != '\0'), "%s", c->name);
		cr_expect(!strchr(c->summary, 0x0a), "%s", c->name);
		for (unsigned n = 0; n < completion_words(c); n++) {
			char word[64];
			const char *kind = completion_word(c, n, word);
			cr_expect(kind && is_complete_kind(kind), "%s %u", c->name, n);
		}
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(c->name, command_table[k].name);
	}
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		cr_expect(row->help && row->set, "%s", row->name);
		cr_expect((row->type == OPTION_FLAG) == !row->value, "%s", row->name);
		cr_expect(!row->complete ||
				  (row->value && is_complete_kind(row->complete)),
			  "%s", row->name);
	}
}

Test(tables, no_command_has_an_option_or_letter_twice)
{
	for (size_t i = 0; i < command_count; i++)
		for (size_t a = 0; a < option_count; a++)
			for (size_t b = 0; b < a; b++) {
				const struct option_row *x = &option_table[a],
							*y = &option_table[b];
				if (!is_for(x, &command_table[i]) ||
				    !is_for(y, &command_table[i]))
					continue;
				cr_expect_str_neq(x->name, y->name, "%s",
						  command_table[i].name);
				cr_expect(!x->letter || x->letter != y->letter, "%s -%c",
					  command_table[i].name, x->letter);
			}
}

Test(tables, examples_can_be_typed)
{
	for (size_t i = 0; i < command_count; i++) {
		const char *at = command_table[i].examples;
		while (at && *at) {
			char line[256], *argv[32], *save;
			int argc = 0;
			size_t used = 0, size = strcspn(at, "\n");
			snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n|>)"),
				 at);
			at += size + (at[size] == '\n');
			char *from = strstr(line, "cashet ");
			cr_assert_not_null(from, "%s", line);
			for (char *w = strtok_r(from, " '", &save); w;
			     w = strtok_r(NULL, " '", &save))
				argv[argc++] = w;
			const struct command *c =
				cli_find_command(argv + 1, (size_t)argc - 1, &used);
			cr_assert_eq(c, &command_table[i], "%s", line);
			struct settings s = {0};
			const char *items[32];
			struct words words = {.items = items};
			struct err e = {0};
			int first = 1 + (int)used;
			cr_expect_eq(options_parse(&s, OPTIONS_GLOBAL | c->options,
						   argc - first, argv + first, false,
						   &words, &e),
				     argc - first, "%s: %s", line, e.what);
			cr_expect(words.count >= c->least && words.count <= c->most, "%s",
				  line);
			settings_fini(&s);
		}
	}
}

Test(tables, help_has_every_command_and_every_option)
{
	CLEANUP_BUF struct buf all = {0};
	help_text(&all, "cashet", NULL, false);
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		CLEANUP_BUF struct buf one = {0};
		char word[64];
		snprintf(word, sizeof word, "\n  %s ", c->name);
		cr_expect_eq(!!strstr(buf_cstr(&all), word), !c->hidden, "%s", c->name);
		help_text(&one, "cashet", c, false);
		for (size_t k = 0; k < option_count; k++) {
			char left[64];
			help_option_left(&option_table[k], left, sizeof left);
			if (is_for(&option_table[k], c))
				cr_expect(strstr(buf_cstr(&one), left), "%s %s", c->name,
					  left);
		}
	}
}

Test(tables, no_line_of_help_is_wider_than_a_terminal)
{
	for (size_t i = 0; i <= command_count; i++) {
		CLEANUP_BUF struct buf out = {0};
		help_text(&out, "cashet", i < command_count ? &command_table[i] : NULL,
			  false);
		for (const char *at = buf_cstr(&out); *at;) {
			size_t size = strcspn(at, "\n");
			cr_expect(size <= USAGE_COLUMNS, "%.*s", (int)size, at);
			at += size + (at[size] == '\n');
		}
	}
}

Test(tables, manual_pages_have_every_command_and_every_option)
{
	CLEANUP_BUF struct buf all = {0};
	manual_program(&all);
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		CLEANUP_BUF struct buf one = {0};
		char page[64], word[192], name[128];
		if (c->hidden)
			continue;
		escape(name, manual_page_name(c->name, page));
		snprintf(word, sizeof word, "see\n\\fB%s\\fR(1)", name);
		cr_expect(strstr(buf_cstr(&all), word), "%s", word);
		manual_command(&one, c);
		for (size_t k = 0; k < option_count; k++) {
			snprintf(page, sizeof page, "--%s", option_table[k].name);
			escape(name, page);
			snprintf(word, sizeof word, "\\fB%s\\fR", name);
			if (is_for(&option_table[k], c))
				cr_expect(strstr(buf_cstr(&one), word), "%s %s", c->name,
					  word);
		}
	}
	for (size_t d = 0; d < ARRAY_LEN(completion_daemons); d++) {
		CLEANUP_BUF struct buf one = {0};
		manual_daemon(&one, completion_daemons[d]);
		for (size_t k = 0; k < completion_daemons[d]->flag_count; k++) {
			char flag[64], word[192];
			snprintf(flag, sizeof flag, "--%s",
				 completion_daemons[d]->flags[k].name);
			escape(word, flag);
			cr_expect(strstr(buf_cstr(&one), word), "%s", flag);
		}
	}
}

/* The spec of a command in the script for bash has all of its options. */
Test(tables, bash_has_every_command_and_every_option)
{
	CLEANUP_BUF struct buf script = {0};
	completion_bash(&script);
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		char word[128];
		if (c->hidden)
			continue;
		snprintf(word, sizeof word, "\t'%s') spec=", c->name);
		const char *spec = line_of(&script, word);
		for (size_t k = 0; k < option_count; k++) {
			const struct option_row *row = &option_table[k];
			snprintf(word, sizeof word, " --%s%s", row->name,
				 row->value ? ":" : "");
			if (is_for(row, c))
				cr_expect(strstr(spec, word), "%s %s", c->name, word);
		}
	}
}

Test(tables, zsh_has_every_command_and_every_option)
{
	CLEANUP_BUF struct buf script = {0};
	completion_zsh(&script);
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		char word[128];
		if (c->hidden)
			continue;
		snprintf(word, sizeof word, "\t'%s') _arguments", c->name);
		char *begin = strstr((char *)buf_cstr(&script), word);
		cr_assert_not_null(begin, "%s", word);
		char *end = strstr(begin, ";;");
		*end = '\0';
		for (size_t k = 0; k < option_count; k++) {
			const struct option_row *row = &option_table[k];
			snprintf(word, sizeof word, "--%s%s", row->name,
				 row->value ? "=" : "");
			if (is_for(row, c))
				cr_expect(strstr(begin, word), "%s %s", c->name, word);
		}
		*end = ';';
	}
}

Test(tables, fish_has_every_command_and_every_option)
{
	CLEANUP_BUF struct buf script = {0};
	completion_fish(&script);
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		char word[128];
		if (c->hidden)
			continue;
		snprintf(word, sizeof word, " -a %s -d ",
			 strchr(c->name, ' ') ? strchr(c->name, ' ') + 1 : c->name);
		cr_expect(strstr(buf_cstr(&script), word), "%s", word);
		for (size_t k = 0; k < option_count; k++) {
			const struct option_row *row = &option_table[k];
			if (!(row->set & c->options))
				continue;
			snprintf(word, sizeof word, "__cashet_in \"%s\"'%s%.1s -l %s",
				 c->name, row->letter ? " -s " : "", &row->letter,
				 row->name);
			cr_expect(strstr(buf_cstr(&script), word), "%s", word);
		}
	}
}
