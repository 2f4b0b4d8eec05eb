/* completion_fish.c - the script for fish: declarations, one per command, option and word. */
#include "client/cli/completion.h"

#include <stdio.h>
#include <string.h>

static const char head[] =
	"# fish completion for cashet, made from its table of commands (cashet "
	"completion fish)\n"
	"\n"
	"function __cashet_words # what stands before the cursor and is neither option "
	"nor value\n"
	"	set -l skip 0\n"
	"	for word in (commandline -opc)[2..-1]\n"
	"		if test $skip = 1\n"
	"			set skip 0\n"
	"		else if contains -- $word $__cashet_valued\n"
	"			set skip 1\n"
	"		else if not string match -q -- '-?*' $word\n"
	"			echo -- $word\n"
	"		end\n"
	"	end\n"
	"end\n"
	"\n"
	"function __cashet_command # the command so far: \"get\", \"worker ls\"; nothing "
	"yet: \"\"\n"
	"	set -l words (__cashet_words)\n"
	"	set -l program (string split / -- (commandline -opc)[1])[-1]\n"
	"	if test \"$program\" = cashet-submit\n"
	"		set words submit $words\n"
	"	end\n"
	"	if contains -- \"$words[1]\" $__cashet_groups; and set -q words[2]\n"
	"		echo $words[1] $words[2]\n"
	"	else\n"
	"		echo $words[1]\n"
	"	end\n"
	"end\n"
	"\n"
	"function __cashet_in # is it this command?\n"
	"	test (__cashet_command) = \"$argv\"\n"
	"end\n"
	"\n"
	"function __cashet_at # COMMAND N M: is it that, and the word its N-th to M-th "
	"(from 1)?\n"
	"	__cashet_in $argv[1]; or return\n"
	"	set -l name (string split ' ' -- $argv[1])\n"
	"	set -l at (math (count (__cashet_words)) - (count $name) + 1)\n"
	"	if test (string split / -- (commandline -opc)[1])[-1] = cashet-submit\n"
	"		set at (math $at + 1)\n"
	"	end\n"
	"	test $at -ge $argv[2]; and test $at -le $argv[3]\n"
	"end\n"
	"\n"
	"function __cashet_ask # KIND: what the store knows, by the cashet that is "
	"beside it\n"
	"	set -l line (commandline -opc)\n"
	"	set -l program cashet\n"
	"	if string match -q '*/*' -- $line[1]\n"
	"		set program (string replace -r '[^/]*$' cashet -- $line[1])\n"
	"		set program (string replace -r '^~/' $HOME/ -- $program)\n"
	"	end\n"
	"	set -l word (string replace -r '^(--[a-z-]+=)' '' -- (commandline -ct))\n"
	"	$program complete -- $argv[1] \"$word\" $line 2>/dev/null\n"
	"end\n\n";

static void add_quoted(struct buf *out, const char *text)
{
	buf_add_byte(out, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_add_byte(out, '\\');
		buf_add_byte(out, (uint8_t)*text);
	}
	buf_add_byte(out, '\'');
}

/* What a value or word can be: -x -a ..., or files. */
static void add_kind(struct buf *out, const char *kind, bool is_value)
{
	if (!kind)
		buf_add_str(out, is_value ? " -x" : "");
	else if (strcmp(kind, "file") == 0)
		buf_add_str(out, is_value ? " -r -F" : " -F");
	else if (strcmp(kind, "dir") == 0)
		buf_printf(out, "%s -a '(__fish_complete_directories (commandline -ct))'",
			   is_value ? " -x" : "");
	else if (*kind == '=')
		buf_printf(out, "%s -a '%s'", is_value ? " -x" : "", kind + 1);
	else
		buf_printf(out, "%s -a '(__cashet_ask %s)'", is_value ? " -x" : "", kind);
}

/* @condition: NULL: always. */
static void add_option(struct buf *out, const char *programs, const char *condition,
		       const struct option_row *row)
{
	buf_printf(out, "complete%s", programs);
	if (condition) {
		buf_add_str(out, " -n '__cashet_in ");
		buf_printf(out, "\"%s\"'", condition);
	}
	if (row->letter)
		buf_printf(out, " -s %c", row->letter);
	buf_printf(out, " -l %s", row->name);
	if (row->value)
		add_kind(out, row->complete, true);
	buf_add_str(out, " -d ");
	add_quoted(out, row->help);
	buf_add_byte(out, '\n');
}

#define OURS " -c cashet -c cashet-submit"

static void add_command(struct buf *out, const struct command *c)
{
	size_t end = strcspn(c->name, " ");
	buf_printf(out, "\n# %s\n", c->name);
	if (c->name[end])
		buf_printf(out, "complete -c cashet -n '__cashet_in %.*s' -a %s -d ",
			   (int)end, c->name, c->name + end + 1);
	else
		buf_printf(out, "complete -c cashet -n '__cashet_in' -a %s -d ", c->name);
	add_quoted(out, c->summary);
	buf_add_byte(out, '\n');
	unsigned count = completion_words(c);
	for (unsigned n = 0; n < count; n++) {
		char word[64];
		const char *kind = completion_word(c, n, word);
		if (!kind)
			continue;
		buf_printf(out, "complete" OURS " -n '__cashet_at \"%s\" %u %u'", c->name,
			   n + 1, n + 1 == count ? c->most : n + 1);
		add_kind(out, kind, false);
		buf_add_byte(out, '\n');
	}
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].set & c->options)
			add_option(out, OURS, c->name, &option_table[i]);
}

static void add_daemon(struct buf *out, const struct daemon *d)
{
	char program[64];
	snprintf(program, sizeof program, " -c %s", d->name);
	buf_printf(out, "\n# %s\ncomplete%s -f\n", d->name, program);
	if (*d->words)
		buf_printf(out, "complete%s -a '%s'\n", program, d->words);
	for (size_t i = 0; i < d->flag_count; i++) {
		const struct flag *f = &d->flags[i];
		const struct option_row row = {.name = f->name,
					       .value = f->value,
					       .complete = f->complete,
					       .help = f->help};
		add_option(out, program, NULL, &row);
	}
}

static void add_lists(struct buf *out)
{
	buf_add_str(out, "set -g __cashet_valued ");
	completion_valued(out);
	buf_add_str(out, "\nset -g __cashet_groups");
	for (size_t i = 0; i < command_count; i++) {
		const char *name = command_table[i].name;
		size_t end = strcspn(name, " ");
		if (name[end] && completion_is_first(i))
			buf_printf(out, " %.*s", (int)end, name);
	}
	buf_add_str(out, "\n\n");
}

void completion_fish(struct buf *out)
{
	buf_add_str(out, head);
	add_lists(out);
	buf_add_str(out, "complete" OURS " -f\n");
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].set & OPTIONS_GLOBAL)
			add_option(out, OURS, NULL, &option_table[i]);
	for (size_t i = 0; i < command_count; i++) {
		const char *name = command_table[i].name;
		size_t end = strcspn(name, " ");
		if (name[end] && completion_is_first(i)) {
			char what[128];
			completion_summary(&command_table[i], what, sizeof what);
			buf_printf(out,
				   "\ncomplete -c cashet -n '__cashet_in' -a %.*s -d ",
				   (int)end, name);
			add_quoted(out, what);
			buf_add_byte(out, '\n');
		}
		if (!command_table[i].hidden)
			add_command(out, &command_table[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(completion_daemons); i++)
		add_daemon(out, completion_daemons[i]);
}
