/* plant.h - bugs on purpose, so that the tests can be tested.
 *
 * PLANTED(x) is constant false in every program that people run; the compiler removes the branch.
 * Built with -DCASHET_PLANTED (library core_planted), the simulator switches one of them on by
 * core_planted and must then find a violation.
 *
 * To add one: a row here, `if (PLANTED(...))` at the natural place, a row in the simulator. */
#pragma once

enum plant {
	PLANT_NONE,
	PLANT_NO_EPOCH_CHECK, /* a result of a superseded lease is accepted */
	PLANT_NO_LEASE_CHECK, /* MAC and fields of a reported lease are not compared */
	PLANT_FOLLOWER_ENDS_TWICE,
	PLANT_SILENCE_IGNORED, /* leases of a silent worker are never taken away */
	PLANT_NO_PROMOTION, /* queued leases are not counted as running when room appears */
	PLANT_ONE_RETRY_MORE,
	PLANT_SKIP_LOST,	     /* a failed task's dependants are forgotten */
	PLANT_CANCEL_KILLS_FOLLOWER, /* cancelling the leader leaves its followers unscheduled */
	PLANT_OVERSUBSCRIBE,
	PLANT_EARLY_READER, /* tasks that read others may start before those are durable */
	PLANT_GROUP_FORGETS_READERS, /* only the first reader of a list is told */
	PLANT_NO_ADOPTION_WAIT,	     /* recovered tasks are granted at once */
	PLANT_COMMIT_NUMBER_REUSED,
	PLANT_LOSS_COSTS_ATTEMPT, /* a lost worker counts as a failed attempt */
	PLANT_BACKOFF_FOREVER,
	PLANT_PAUSE_PER_BATCH,	/* a success of any entry keeps a batch from pausing */
	PLANT_STARVED,		/* no worker is kept for a request that is passed over */
	PLANT_SAME_FULL_WORKER, /* a worker without room for the inputs is asked again */
	PLANT_FIRST_REQUEST, /* equal work waits for room for the first one's request only */
	PLANT_COUNT,
};

#ifdef CASHET_PLANTED
extern enum plant core_planted;
#define PLANTED(x) (core_planted == (x))
#else
#define PLANTED(x) (0 && (x))
#endif
