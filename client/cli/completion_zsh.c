/* completion_zsh.c - the script for zsh: one _arguments per command. */
#include "client/cli/completion.h"

#include <stdio.h>
#include <string.h>

static const char head[] =
	"#compdef cashet cashet-submit cashet-broker cashet-worker\n"
	"# zsh completion for cashet, made from its table of commands (cashet completion "
	"zsh)\n"
	"\n"
	"_cashet_ask() { # KIND: what the store knows, by the cashet that is beside it\n"
	"	local program=${~cashet_line[1]} line\n"
	"	[[ $program == */* ]] && program=${program:h}/cashet || program=cashet\n"
	"	local -a found\n"
	"	for line in \"${(@f)$($program complete -- $1 \"$PREFIX\" $cashet_line "
	"2>/dev/null)}\"; do\n"
	"		[[ -n $line ]] || continue\n"
	"		found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
	"	done\n"
	"	if [[ $1 == (task|batch-or-task|commit) ]]; then\n"
	"		local -a batches=(${(M)found:#*\\\\::*})\n"
	"		found=(${found:#*\\\\::*})\n"
	"		(( $#batches )) && _describe -t batches batch batches -S ''\n"
	"	fi\n"
	"	_describe -t cashet $1 found\n"
	"}\n\n";

static const char tail[] =
	"_cashet() {\n"
	"	local -a cashet_line=($words)\n"
	"	local curcontext=$curcontext state\n"
	"	case $service in\n"
	"	cashet-submit) _cashet_arguments submit ;;\n"
	"	cashet-*) _cashet_arguments $service ;;\n"
	"	*) _cashet_arguments '' ;;\n"
	"	esac\n"
	"}\n"
	"\n"
	"if [[ $funcstack[1] == _cashet ]]; then\n"
	"	_cashet \"$@\"\n"
	"else\n"
	"	compdef _cashet cashet cashet-submit cashet-broker cashet-worker\n"
	"fi\n";

/* In single quotes; [ ] : mean something to _arguments. */
static void add_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			buf_add_str(out, "'\\'");
		if (strchr("[]:\\", *text))
			buf_add_byte(out, '\\');
		buf_add_byte(out, (uint8_t)*text);
	}
}

/* ":NAME:ACTION" */
static void add_action(struct buf *out, const char *name, const char *kind)
{
	buf_add_byte(out, ':');
	add_text(out, name);
	buf_add_byte(out, ':');
	if (!kind)
		buf_add_byte(out, ' ');
	else if (strcmp(kind, "file") == 0)
		buf_add_str(out, "_files");
	else if (strcmp(kind, "dir") == 0)
		buf_add_str(out, "_files -/");
	else if (*kind == '=')
		buf_printf(out, "(%s)", kind + 1);
	else
		buf_printf(out, "{_cashet_ask %s}", kind);
}

static void add_option(struct buf *out, const char *name, char letter, bool repeats,
		       const char *value, const char *kind, const char *help)
{
	buf_add_str(out, " \\\n\t\t'");
	if (repeats)
		buf_add_byte(out, '*');
	else if (letter)
		buf_printf(out, "(-%c --%s)", letter, name);
	if (letter)
		buf_printf(out, "'{-%c%s,--%s%s}'", letter, value ? "+" : "", name,
			   value ? "=" : "");
	else
		buf_printf(out, "--%s%s", name, value ? "=" : "");
	buf_add_byte(out, '[');
	add_text(out, help);
	buf_add_byte(out, ']');
	if (value)
		add_action(out, value, kind);
	buf_add_byte(out, '\'');
}

static void add_options(struct buf *out, unsigned sets)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		if (row->set & sets)
			add_option(out, row->name, row->letter, row->type == OPTION_LIST,
				   row->value, row->complete, row->help);
	}
}

static void add_command(struct buf *out, const struct command *c)
{
	unsigned count = completion_words(c);
	buf_printf(out, "\t'%s') _arguments -s -S :", c->name);
	for (unsigned n = 0; n < count; n++) {
		char word[64];
		bool repeats = n + 1 == count && c->most > count;
		buf_add_str(out, " \\\n\t\t'");
		if (repeats)
			buf_add_byte(out, '*');
		else
			buf_printf(out, "%u", n + 1);
		add_action(out, c->words, completion_word(c, n, word));
		buf_add_byte(out, '\'');
	}
	add_options(out, OPTIONS_GLOBAL | c->options);
	buf_add_str(out, " ;;\n");
}

static void add_daemon(struct buf *out, const struct daemon *d)
{
	buf_printf(out, "\t%s) _arguments -s -S :", d->name);
	if (*d->words)
		buf_printf(out, " \\\n\t\t'1:word:(%s)'", d->words);
	for (size_t i = 0; i < d->flag_count; i++)
		add_option(out, d->flags[i].name, 0, false, d->flags[i].value,
			   d->flags[i].complete, d->flags[i].help);
	buf_add_str(out, " ;;\n");
}

/* A place for one word of a command's name, and what comes behind it. */
static void add_chooser(struct buf *out, const char *group)
{
	size_t size = group ? strlen(group) : 0;
	buf_printf(out, "\t'%s')\n\t\tlocal -a commands=(", group ? group : "");
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		size_t end = strcspn(c->name, " ");
		char what[128];
		if (c->hidden)
			continue;
		if (group ? strncmp(c->name, group, size) != 0 || end != size
			  : !completion_is_first(i))
			continue;
		completion_summary(c, what, sizeof what);
		buf_add_str(out, "\n\t\t\t'");
		if (group)
			buf_add_str(out, c->name + size + 1);
		else
			buf_add(out, c->name, end);
		buf_add_byte(out, ':');
		add_text(out, group ? c->summary : what);
		buf_add_byte(out, '\'');
	}
	buf_add_str(out, ")\n\t\t_arguments -S -s -C :");
	add_options(out, OPTIONS_GLOBAL);
	buf_printf(out,
		   " \\\n\t\t\t'1:command:->command' '*::argument:->arguments'\n"
		   "\t\tcase $state in\n"
		   "\t\tcommand) _describe -t commands command commands ;;\n"
		   "\t\targuments) _cashet_arguments \"%s%s$words[1]\" ;;\n"
		   "\t\tesac ;;\n",
		   group ? group : "", group ? " " : "");
}

void completion_zsh(struct buf *out)
{
	buf_add_str(out, head);
	buf_add_str(out, "_cashet_arguments() { # COMMAND\n\tcase $1 in\n");
	add_chooser(out, NULL);
	for (size_t i = 0; i < command_count; i++) {
		const char *name = command_table[i].name;
		size_t end = strcspn(name, " ");
		char group[32];
		if (!name[end] || !completion_is_first(i))
			continue;
		snprintf(group, sizeof group, "%.*s", (int)end, name);
		add_chooser(out, group);
	}
	for (size_t i = 0; i < command_count; i++)
		if (!command_table[i].hidden)
			add_command(out, &command_table[i]);
	for (size_t i = 0; i < ARRAY_LEN(completion_daemons); i++)
		add_daemon(out, completion_daemons[i]);
	buf_add_str(out, "\tesac\n}\n\n");
	buf_add_str(out, tail);
}
