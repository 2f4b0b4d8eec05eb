/* command_table.c - the one table of commands. Parser, help, did-you-mean, manual pages and completion
 * come from it. To add a command: a row here, cmd_*() in a file of its own kind, its page in
 * docs/meson.build, a section in docs/cli.md. */
#include "client/cli/cli.h"

#define NAMES_A_COMMIT                                                                   \
	"A commit is named by 4 or more digits of its hash, by BATCH:INDEX of a task "   \
	"that ended with it, or by the name of a pin."
#define NEWEST "Without BATCH the newest one is meant."

const struct command command_table[] = {
	{
		.name = "submit",
		.words = "FILE|FILE:FUNCTION [ARG...]",
		.complete = "file",
		.summary =
			"submit a batch file, or a call of a function, and wait for it",
		.help = "FILE is YAML, JSON or JSONL; - is standard input. Running the "
			"same file again is resume: what is in the cache is not run. "
			"Ctrl-C detaches, and the batch goes on.\n"
			"FILE:FUNCTION is a function in a .py or .c file. An ARG is "
			"typed as "
			"in YAML: 3, 0.5, true, null, text; or it is JSON: [1, 2], "
			"{\"a\": 1}, "
			"\"text\". @FILE is a file or a folder, ref:COMMIT what an "
			"earlier "
			"task "
			"made.",
		.examples = "cashet submit sweep.yaml\n"
			    "cashet submit sweep.yaml --dry-run -v\n"
			    "cashet submit sweep.yaml --detach --tag experiment=v3\n"
			    "cashet submit train.py:train 0.1 --kw data=@digits.csv",
		.options = OPTIONS_SUBMIT | OPTIONS_DETACH | OPTIONS_DRY_RUN |
			   OPTIONS_VERBOSE | OPTIONS_CALL | OPTIONS_DESCRIBE,
		.least = 1,
		.most = 10000,
		.run = cmd_submit,
	},
	{
		.name = "map",
		.words = "FILE:FUNCTION",
		.complete = "file",
		.summary =
			"call a function for each line of a file, and print the results",
		.help = "Each line is JSON: a list is the arguments by position, a map "
			"those "
			"by name, anything else the only one; or it is @FILE or "
			"ref:COMMIT, as an "
			"ARG of submit. --kw adds the same to all. "
			"Results come in the order of the lines: JSON as it is, others "
			"as "
			"{\"commit\", \"size\"}, failures as {\"error\", \"status\", "
			"\"task\"}. "
			"Nothing runs before the last line was read.",
		.examples =
			"cashet map score.py:score --over items.jsonl -o scores.jsonl\n"
			"cashet map f.py:f --over - --kw scale=0.5",
		.options = OPTIONS_MAP | OPTIONS_SUBMIT | OPTIONS_DETACH | OPTIONS_CALL |
			   OPTIONS_DESCRIBE,
		.least = 1,
		.most = 1,
		.run = cmd_map,
	},
	{
		.name = "ps",
		.words = "",
		.summary = "list batches that are going on",
		.examples = "cashet ps\ncashet ps --all",
		.options = OPTIONS_ALL,
		.run = cmd_ps,
	},
	{
		.name = "wait",
		.words = "[BATCH]",
		.complete = "batch",
		.summary = "wait until a batch has ended",
		.help = NEWEST " Ctrl-C stops waiting; the batch goes on.",
		.examples = "cashet wait b7f3 --timeout 10m",
		.options = OPTIONS_TIMEOUT,
		.most = 1,
		.run = cmd_wait,
	},
	{
		.name = "results",
		.words = "[BATCH]",
		.complete = "batch",
		.summary = "print parameters, metrics and states of a batch's tasks",
		.help = NEWEST " With --group-by or --agg a row is what several "
			       "completed tasks have in common. std is that of a sample "
			       "(n - 1). What is not a number is left out, and said.",
		.examples =
			"cashet results b7f3 --csv\n"
			"cashet results --group-by lr --metric val_loss --agg mean,std",
		.options = OPTIONS_CSV,
		.most = 1,
		.run = cmd_results,
	},
	{
		.name = "best",
		.words = "[BATCH]",
		.complete = "batch",
		.summary = "print the best results of a sweep",
		.help = NEWEST " Metric and direction are those of metrics.best in the "
			       "batch file, unless given.",
		.examples = "cashet best -k 3\ncashet best b7f3 --by val_loss --min",
		.options = OPTIONS_BEST,
		.most = 1,
		.run = cmd_best,
	},
	{
		.name = "log",
		.words = "",
		.summary = "list what was computed, newest first",
		.help = "Failures too. Conditions that are given together must all hold. "
			"On a terminal it is shown by $CASHET_PAGER, $PAGER or less.",
		.examples = "cashet log -n 20\n"
			    "cashet log --func train --tag experiment=v3 --since 2d\n"
			    "cashet log --status failed",
		.options = OPTIONS_LOG,
		.run = cmd_log,
	},
	{
		.name = "show",
		.words = "COMMIT",
		.complete = "commit",
		.summary = "print all that is known of a commit",
		.help = "What ran, with which arguments and inputs, where each input "
			"came "
			"from, and of a failure the end of its standard "
			"error.\n" NAMES_A_COMMIT,
		.examples = "cashet show 4af0\ncashet show b7f3:8",
		.least = 1,
		.most = 1,
		.run = cmd_show,
	},
	{
		.name = "history",
		.words = "COMMIT",
		.complete = "commit",
		.summary = "list all runs of the same function and arguments, or what it "
			   "was made from",
		.help = NAMES_A_COMMIT,
		.examples = "cashet history 4af0\n"
			    "cashet history 4af0 --graph\n"
			    "cashet history 4af0 --dot | dot -Tsvg > lineage.svg",
		.options = OPTIONS_GRAPH,
		.least = 1,
		.most = 1,
		.run = cmd_history,
	},
	{
		.name = "stats",
		.words = "",
		.summary = "print what the store holds, and what it has saved",
		.run = cmd_stats,
	},
	{
		.name = "get",
		.words = "COMMIT",
		.complete = "commit",
		.summary = "write a result's exact bytes",
		.help = "The result is the task's only output, or its standard output "
			"when it declares none. With several outputs, name one with "
			"--output, or a new folder for all with -o. On a terminal text "
			"is "
			"shown, and what is no text is described.\n" NAMES_A_COMMIT,
		.examples = "cashet get b7f3:8 > weights.bin\n"
			    "cashet get 4af0 -o weights.bin\n"
			    "cashet get 4af0 --output weights -o weights.bin\n"
			    "cashet get 4af0 --input data | sha256sum",
		.options = OPTIONS_GET | OPTIONS_STREAM,
		.least = 1,
		.most = 1,
		.run = cmd_get,
	},
	{
		.name = "logs",
		.words = "BATCH:INDEX",
		.complete = "task",
		.summary = "print what a task wrote, also while it runs",
		.help = "Its standard output goes to standard output, its standard error "
			"to standard error.",
		.examples = "cashet logs b7f3:8 -f\n"
			    "cashet logs b7f3:8 --stderr | tail",
		.options = OPTIONS_FOLLOW | OPTIONS_STREAM,
		.least = 1,
		.most = 1,
		.run = cmd_logs,
	},
	{
		.name = "describe",
		.words = "FILE:FUNCTION|FILE...",
		.complete = "file",
		.summary = "print what a function by source is: what counts, and its "
			   "hash",
		.help = "What it is made of: definitions with their lines, packages, the "
			"files that are shipped with it, what cannot be followed, and "
			"the canonical form, which is what is hashed. A FILE alone is a "
			"script, as code: of a command. Nothing of it is run; no broker "
			"is asked. With --against, what differs from what an earlier run "
			"had: definitions with a diff of their files, packages, "
			"flags.\n" NAMES_A_COMMIT,
		.examples = "cashet describe train.py:train\n"
			    "cashet describe train.py:train --against b7f3:8\n"
			    "cashet describe train.c:train --cflag=-O3\n"
			    "cashet describe train.py --json",
		.options = OPTIONS_DESCRIBE | OPTIONS_AGAINST,
		.least = 1,
		.most = 10000,
		.run = cmd_describe,
	},
	{
		.name = "why",
		.words = "BATCH:INDEX|COMMIT",
		.complete = "commit",
		.summary = "say why a task ran, was a hit, waits, was skipped or failed",
		.help = "It compares the components of its fingerprint with the nearest "
			"earlier commit of a task of the same name, and names the one "
			"that changed.\n" NAMES_A_COMMIT,
		.examples = "cashet why b7f3:8",
		.least = 1,
		.most = 1,
		.run = cmd_why,
	},
	{
		.name = "diff",
		.words = "A B",
		.complete = "commit commit",
		.summary = "say what differs between two runs: function, arguments, "
			   "inputs, outputs",
		.help = "A and B are BATCH:INDEX, a commit or a pin each. Texts and JSON "
			"are compared inside, the rest by sizes and digests.",
		.examples = "cashet diff b7f3:7 b7f3:8\ncashet diff baseline 4af0",
		.least = 2,
		.most = 2,
		.run = cmd_diff,
	},
	{
		.name = "shell",
		.words = "BATCH:INDEX|COMMIT",
		.complete = "commit",
		.summary = "open a shell in the exact directory of a task",
		.help = "Code, inputs and environment are laid out as for the task, "
			"whose "
			"command is in ../run. Nothing is run. The folder goes when the "
			"shell ends, unless --keep or --dir.\n" NAMES_A_COMMIT,
		.examples = "cashet shell b7f3:8\ncashet shell b7f3:8 -c ../run",
		.options = OPTIONS_SHELL,
		.least = 1,
		.most = 1,
		.run = cmd_shell,
	},
	{
		.name = "cancel",
		.words = "BATCH[:INDEX]",
		.complete = "batch-or-task",
		.summary = "cancel a batch or one of its tasks",
		.help = "Processes get SIGTERM, and SIGKILL after their grace. What had "
			"ended stays as it is.",
		.examples = "cashet cancel b7f3\ncashet cancel b7f3:8",
		.least = 1,
		.most = 1,
		.run = cmd_cancel,
	},
	{
		.name = "retry",
		.words = "[BATCH]",
		.complete = "batch",
		.summary = "submit the same tasks again and wait",
		.help = NEWEST " Tasks that succeeded are hits. A batch that has paused "
			       "goes on.",
		.examples = "cashet retry b7f3",
		.options = OPTIONS_DETACH,
		.most = 1,
		.run = cmd_retry,
	},
	{
		.name = "gc",
		.words = "",
		.summary = "remove what has expired, is old, or is too much",
		.help = "Least recently used first; bytes go before records, so nothing "
			"that has finished runs again because of it. What runs, waits or "
			"is pinned stays.",
		.examples = "cashet gc --dry-run --older-than 30d\n"
			    "cashet gc --max-size 10G",
		.options = OPTIONS_GC | OPTIONS_DRY_RUN,
		.run = cmd_gc,
	},
	{
		.name = "clear",
		.words = "",
		.summary = "remove every result that nothing needs just now",
		.help = "What runs, waits or is pinned stays. On a terminal it asks.",
		.examples = "cashet clear --dry-run",
		.options = OPTIONS_DRY_RUN | OPTIONS_YES,
		.run = cmd_clear,
	},
	{
		.name = "rm",
		.words = "COMMIT...",
		.complete = "commit",
		.summary = "remove commits from the store",
		.help = "Their bytes go with the next gc, unless something else needs "
			"them. What runs, waits or is pinned stays. More than 100 are "
			"asked about on a terminal.\n" NAMES_A_COMMIT,
		.examples = "cashet rm 4af0",
		.options = OPTIONS_DRY_RUN | OPTIONS_YES,
		.least = 1,
		.most = 10000,
		.run = cmd_rm,
	},
	{
		.name = "invalidate",
		.words = "",
		.summary = "let results be found no more; they stay in the history",
		.help = "Their work runs again when it is submitted again. All "
			"conditions "
			"that are given must hold, and one must be given. More than 100 "
			"are asked about on a terminal.",
		.examples = "cashet invalidate --tag experiment=v3 --func train\n"
			    "cashet invalidate --downstream 4af0 --dry-run",
		.options = OPTIONS_FILTER | OPTIONS_DRY_RUN | OPTIONS_YES,
		.run = cmd_invalidate,
	},
	{
		.name = "pin",
		.words = "COMMIT",
		.complete = "commit",
		.summary = "give a commit a name; gc keeps it",
		.help = "The name may stand wherever a commit is expected. gc keeps the "
			"commit with its bytes and its inputs.\n" NAMES_A_COMMIT,
		.examples = "cashet pin 4af0 --name baseline",
		.options = OPTIONS_PIN,
		.least = 1,
		.most = 1,
		.run = cmd_pin,
	},
	{
		.name = "unpin",
		.words = "PIN",
		.complete = "pin",
		.summary = "take a pin away",
		.examples = "cashet unpin baseline",
		.least = 1,
		.most = 1,
		.run = cmd_unpin,
	},
	{
		.name = "pins",
		.words = "",
		.summary = "list pins",
		.run = cmd_pins,
	},
	{
		.name = "export",
		.words = "FILE [COMMIT...]",
		.complete = "file commit",
		.summary = "write commits and all that they need to an archive",
		.help = "Everything that would be a hit, unless commits are named or "
			"conditions are given. - is standard output. The file appears "
			"when it is complete.\n" NAMES_A_COMMIT,
		.examples = "cashet export backup --all\n"
			    "cashet export for-anna --tag experiment=v3",
		.options = OPTIONS_EXPORT,
		.least = 1,
		.most = 10001,
		.run = cmd_export,
	},
	{
		.name = "import",
		.words = "FILE",
		.complete = "file",
		.summary = "read an archive into the store: all of it or nothing",
		.help = "- is standard input. All of it is verified; what is there "
			"already stays as it is. A store that is not there is made.",
		.examples = "cashet import backup --dry-run\n"
			    "cashet import backup --store elsewhere",
		.options = OPTIONS_IMPORT | OPTIONS_DRY_RUN,
		.least = 1,
		.most = 1,
		.run = cmd_import,
	},
	{
		.name = "fsck",
		.words = "",
		.summary = "check the store; exit 1 if something is wrong",
		.examples = "cashet fsck --read-data 100\ncashet fsck --repair",
		.options = OPTIONS_FSCK,
		.run = cmd_fsck,
	},
	{
		.name = "worker ls",
		.words = "",
		.summary = "list workers",
		.run = cmd_worker_ls,
	},
	{
		.name = "worker drain",
		.words = "WORKER",
		.complete = "worker",
		.summary = "let a worker finish what it runs and take nothing new",
		.examples = "cashet worker drain node-1 --deadline 10m",
		.options = OPTIONS_DEADLINE,
		.least = 1,
		.most = 1,
		.run = cmd_worker_drain,
	},
	{
		.name = "broker status",
		.words = "",
		.summary = "say how the broker is doing",
		.run = cmd_broker_status,
	},
	{
		.name = "broker drain",
		.words = "",
		.summary = "let the broker finish what runs, and end",
		.examples = "cashet broker drain --deadline 10m",
		.options = OPTIONS_DEADLINE,
		.run = cmd_broker_drain,
	},
	{
		.name = "key new",
		.words = "NAME",
		.summary = "make a pair of keys, and print the public half",
		.help = "They are kept in ~/.config/cashet/keys; the secret half stays "
			"there.",
		.examples = "cashet key new me",
		.least = 1,
		.most = 1,
		.run = cmd_key_new,
	},
	{
		.name = "key trust",
		.words = "PUBKEY",
		.summary = "trust a key",
		.help = "On the broker's machine: as client, worker, admin or observer. "
			"On a client's or worker's: as broker. PUBKEY is what key new "
			"prints; quote it for the shell. A running broker notices.",
		.examples = "cashet key trust 'PUBKEY' --role worker --name node-1\n"
			    "cashet key trust 'PUBKEY' --role broker --name host:7410",
		.options = OPTIONS_ROLE,
		.least = 1,
		.most = 1,
		.run = cmd_key_trust,
	},
	{
		.name = "key ls",
		.words = "",
		.summary = "list our keys and the trusted ones",
		.run = cmd_key_ls,
	},
	{
		.name = "key revoke",
		.words = "PUBKEY|NAME",
		.complete = "key",
		.summary = "trust a key no longer",
		.help = "Live connections end.",
		.examples = "cashet key revoke node-1",
		.least = 1,
		.most = 1,
		.run = cmd_key_revoke,
	},
	{
		.name = "completion",
		.words = "SHELL",
		.complete = "=bash zsh fish",
		.summary = "print the completion of bash, zsh or fish",
		.help = "What is installed with cashet; for a shell that does not find "
			"that.",
		.examples = "source <(cashet completion bash)",
		.least = 1,
		.most = 1,
		.run = cmd_completion,
	},
	{
		.name = "version",
		.words = "",
		.summary = "print the version",
		.run = cmd_version,
	},
	{
		.name = "help",
		.words = "[COMMAND]",
		.complete = "command",
		.summary = "explain a command, or list all",
		.examples = "cashet help results",
		.most = 2,
		.run = cmd_help,
	},
	{
		.name = "complete",
		.words = "KIND PREFIX [WORD...]",
		.summary =
			"for completion in shells: lines of a word, a tab, and what it "
			"is",
		.hidden = true,
		.least = 2,
		.most = 10000,
		.run = cmd_complete,
	},
};
const size_t command_count = ARRAY_LEN(command_table);
_Static_assert(ARRAY_LEN(command_table) <= COMMANDS_MAX, "room for their names");
