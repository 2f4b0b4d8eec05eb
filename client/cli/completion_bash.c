/* completion_bash.c - the script for bash, 4.4 or later. It needs no other package.
 *
 * One function says what a command takes, the other walks the line. bash splits words at : and =,
 * so the line is split anew, and candidates lose what bash does not replace. */
#include "client/cli/completion.h"

#include <stdio.h>
#include <string.h>

static const char engine[] =
	"_cashet_ask() { # KIND PREFIX: what the store knows, by the cashet that is "
	"beside it\n"
	"	local program=${words[0]/#\\~\\//$HOME/} line\n"
	"	[[ $program == */* ]] && program=${program%/*}/cashet || program=cashet\n"
	"	while IFS= read -r line; do\n"
	"		found+=(\"${line%%$'\\t'*}\")\n"
	"	done < <(\"$program\" complete -- \"$1\" \"$2\" \"${words[@]}\" "
	"2>/dev/null)\n"
	"}\n"
	"\n"
	"_cashet_kind() { # KIND PREFIX: candidates to found\n"
	"	local word\n"
	"	case $1 in\n"
	"	'') ;;\n"
	"	file | dir)\n"
	"		compopt -o filenames\n"
	"		paths=1\n"
	"		mapfile -t found < <(compgen -\"${1:0:1}\" -- \"$2\") ;;\n"
	"	=*)\n"
	"		local IFS=,\n"
	"		for word in ${1#=}; do\n"
	"			[[ $word == \"$2\"* ]] && found+=(\"$word\")\n"
	"		done ;;\n"
	"	*) _cashet_ask \"$1\" \"$2\" ;;\n"
	"	esac\n"
	"}\n"
	"\n"
	"_cashet_complete() {\n"
	"	local words line=${COMP_LINE:0:COMP_POINT} spec found=() name= kind= "
	"over= paths=\n"
	"	local i word last second place=0\n"
	"	read -ra words <<<\"$line\"\n"
	"	[[ $line == *[[:space:]] ]] && words+=('')\n"
	"	last=$((${#words[@]} - 1))\n"
	"	local cur=${words[last]}\n"
	"	case ${words[0]##*/} in\n"
	"	cashet-submit) name=submit ;;\n"
	"	cashet-*) name=${words[0]##*/} ;;\n"
	"	esac\n"
	"	_cashet_spec \"$name\"\n"
	"	for ((i = 1; i < last; i++)); do\n"
	"		word=${words[i]}\n"
	"		if [[ ! $over && $word == -- ]]; then\n"
	"			over=1\n"
	"		elif [[ ! $over && $word == -?* ]]; then\n"
	"			[[ $word == --*=* || ! \" $_cashet_valued \" == *\" "
	"$word \"* ]] || ((i++))\n"
	"		elif [[ ! $name || $name == group\\ * ]]; then\n"
	"			name=\"${name#group }${name:+ }$word\"\n"
	"			[[ \" $_cashet_groups \" == *\" $name \"* ]] && "
	"name=\"group $name\"\n"
	"			_cashet_spec \"$name\"\n"
	"		else\n"
	"			((place++))\n"
	"		fi\n"
	"	done\n"
	"	local before=${words[last - 1]} prefix=$cur\n"
	"	if [[ ! $over && $cur == --*=* ]]; then\n"
	"		kind=${cur%%=*} prefix=${cur#*=}\n"
	"	elif ((i > last)); then\n"
	"		kind=$before\n"
	"	fi\n"
	"	if [[ $kind ]]; then # the value of an option\n"
	"		[[ \" $spec \" == *\" $kind:\"* ]] || return\n"
	"		spec=\" $spec\" spec=${spec#*\" $kind:\"}\n"
	"		_cashet_kind \"${spec%% *}\" \"$prefix\"\n"
	"	elif [[ ! $over && $cur == -* ]]; then\n"
	"		for word in $spec; do\n"
	"			[[ ${word%%:*} == \"$cur\"* && $word == -* ]] && "
	"found+=(\"${word%%:*}\")\n"
	"		done\n"
	"	else\n"
	"		local kinds=()\n"
	"		for word in $spec; do\n"
	"			[[ $word == @* ]] && kinds+=(\"${word#@}\")\n"
	"		done\n"
	"		if ((${#kinds[@]})); then\n"
	"			((place < ${#kinds[@]})) || place=$((${#kinds[@]} - 1))\n"
	"			_cashet_kind \"${kinds[place]}\" \"$cur\"\n"
	"		fi\n"
	"	fi\n"
	"	# bash replaces what stands behind the last of its word breaks\n"
	"	local breaks= keep= option=\n"
	"	[[ $COMP_WORDBREAKS == *:* ]] && breaks+=:\n"
	"	[[ $COMP_WORDBREAKS == *=* ]] && breaks+==\n"
	"	[[ $breaks ]] && keep=${cur%\"${cur##*[$breaks]}\"}\n"
	"	[[ $kind && $cur == --*=* ]] && option=${cur%%=*}=\n"
	"	COMPREPLY=()\n"
	"	for word in \"${found[@]}\"; do\n"
	"		[[ $word == *: ]] && compopt -o nospace\n"
	"		word=$option$word word=${word#\"$keep\"}\n"
	"		[[ ! $paths && $word == *[^A-Za-z0-9_.:=/@%+,~-]* ]] &&\n"
	"			printf -v word %q \"$word\"\n"
	"		COMPREPLY+=(\"$word\")\n"
	"	done\n"
	"}\n"
	"complete -F _cashet_complete cashet cashet-submit cashet-broker cashet-worker\n";

/* "yaml json" is "yaml,json" in a word. */
static void add_kind(struct buf *out, const char *kind)
{
	for (; kind && *kind; kind++)
		buf_add_byte(out, *kind == ' ' ? ',' : (uint8_t)*kind);
}

static void add_options(struct buf *out, unsigned sets)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		char names[2][32] = {"", ""};
		if (!(row->set & sets))
			continue;
		snprintf(names[0], sizeof names[0], "--%s", row->name);
		if (row->letter)
			snprintf(names[1], sizeof names[1], "-%c", row->letter);
		for (size_t k = 0; k < ARRAY_LEN(names) && *names[k]; k++) {
			buf_printf(out, " %s%s", names[k], row->value ? ":" : "");
			if (row->value)
				add_kind(out, row->complete);
		}
	}
}

static void add_command(struct buf *out, const struct command *c)
{
	buf_printf(out, "\t'%s') spec='", c->name);
	for (unsigned n = 0; n < completion_words(c); n++) {
		char word[64];
		buf_add_str(out, n ? " @" : "@");
		add_kind(out, completion_word(c, n, word));
	}
	add_options(out, OPTIONS_GLOBAL | c->options);
	buf_add_str(out, "' ;;\n");
}

static void add_daemon(struct buf *out, const struct daemon *d)
{
	buf_printf(out, "\t%s) spec='@=", d->name);
	add_kind(out, d->words);
	for (size_t i = 0; i < d->flag_count; i++) {
		buf_printf(out, " --%s%s", d->flags[i].name,
			   d->flags[i].value ? ":" : "");
		if (d->flags[i].value)
			add_kind(out, d->flags[i].complete);
	}
	buf_add_str(out, "' ;;\n");
}

/* The first words of commands; @group: the second ones behind it. */
static void add_words(struct buf *out, const char *group)
{
	size_t size = group ? strlen(group) : 0;
	bool first = true;
	for (size_t i = 0; i < command_count; i++) {
		const char *name = command_table[i].name;
		size_t end = strcspn(name, " ");
		if (command_table[i].hidden)
			continue;
		if (group ? strncmp(name, group, size) != 0 || end != size
			  : !completion_is_first(i))
			continue;
		buf_add_str(out, first ? "" : ",");
		if (group)
			buf_add_str(out, name + size + 1);
		else
			buf_add(out, name, end);
		first = false;
	}
}

static void add_groups(struct buf *out, struct buf *specs)
{
	bool first = true;
	for (size_t i = 0; i < command_count; i++) {
		const char *name = command_table[i].name;
		char group[32];
		size_t end = strcspn(name, " ");
		if (!name[end] || !completion_is_first(i))
			continue;
		snprintf(group, sizeof group, "%.*s", (int)end, name);
		buf_printf(out, "%s%s", first ? "" : " ", group);
		buf_printf(specs, "\t'group %s') spec='@=", group);
		add_words(specs, group);
		add_options(specs, OPTIONS_GLOBAL);
		buf_add_str(specs, "' ;;\n");
		first = false;
	}
}

void completion_bash(struct buf *out)
{
	CLEANUP_BUF struct buf specs = {0};
	buf_add_str(out, "# bash completion for cashet, made from its table of commands\n"
			 "# (cashet completion bash)\n\n_cashet_groups='");
	add_groups(out, &specs);
	buf_add_str(out, "'\n_cashet_valued='");
	completion_valued(out);
	buf_add_str(out, "'\n\n"
			 "# What a command takes, to spec: @KIND for each word, --NAME "
			 "for a flag, "
			 "--NAME:KIND for\n# what has a value; =A,B is a choice.\n"
			 "_cashet_spec() {\n\tcase $1 in\n\t'') spec='@=");
	add_words(out, NULL);
	add_options(out, OPTIONS_GLOBAL);
	buf_add_str(out, "' ;;\n");
	buf_add_str(out, buf_cstr(&specs));
	for (size_t i = 0; i < command_count; i++)
		if (!command_table[i].hidden)
			add_command(out, &command_table[i]);
	for (size_t i = 0; i < ARRAY_LEN(completion_daemons); i++)
		add_daemon(out, completion_daemons[i]);
	buf_add_str(out, "\t*) spec= ;;\n\tesac\n}\n\n");
	buf_add_str(out, engine);
}
