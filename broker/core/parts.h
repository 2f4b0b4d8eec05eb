/* parts.h - what the files of the core call of each other, by file. Private to broker/core.
 * Nothing here may be called by the core's users; they have core.h and types.h. */
#pragma once

#include "broker/core/state.h"

/* effects.c */
struct core_effect *fx_add(struct core *core, enum core_effect_type type);
/** fx_count() - effects of the running step. */
size_t fx_count(const struct core *core);

/* intern.c */
struct func *func_intern(struct core *core, const uint8_t hash[DIGEST_SIZE],
			 uint32_t output_count);
void func_ref(struct func *func);
void func_unref(struct core *core, struct func *func);
/** class_intern() - Return: NULL if the request is malformed. */
struct class *class_intern(struct core *core, const struct core_resource *resources,
			   uint32_t count);
void class_ref(struct class *class);
void class_unref(struct core *core, struct class *class);
/** class_may_stand_in() - may equal work run as one that asks for @other when there is no room for
 * @class? Not with less memory: it would be killed where whoever asked for more would not be. */
static inline bool class_may_stand_in(const struct class *other,
				      const struct class *class)
{
	return other != class && other->memory >= class->memory;
}
uint32_t resource_intern(struct core *core, const char name[CORE_RESOURCE_NAME]);
void resource_unref(struct core *core, uint32_t resource);

/* batch.c */
struct batch *batch_find(const struct core *core, uint64_t number);
struct batch *batch_find_id(const struct core *core, const uint8_t id[DIGEST_SIZE]);
void batch_begin(struct core *core, const struct core_event *event);
void batch_seal(struct core *core, struct batch *b);
void batch_discard(struct core *core, struct batch *b);
void batch_unsealed_timer(struct core *core, uint64_t number);
void batch_refuse(struct core *core, struct batch *b, enum core_refusal why,
		  uint32_t index, uint32_t *indices,
		  uint32_t index_count); /* takes @indices */
void batch_cancel(struct core *core, struct batch *b, uint32_t index);
void batch_start(struct core *core, struct batch *b);
/** batch_task_over() - bookkeeping when one of its tasks has ended. */
void batch_task_over(struct core *core, struct batch *b, const struct task *t);
/** batch_check_failures() - at max_failures what does not run yet is cancelled. */
void batch_check_failures(struct core *core, struct batch *b);
void batch_run(
	struct core *core); /* cursors of starting and sweeping batches, within budgets */
void batch_finish(struct core *core); /* announce those that ended in this step */
void batch_unpin(struct core *core, struct batch *b);
void batch_durable(struct core *core);
void batch_bury(struct core *core); /* free what the last step left */
void batch_free_all(struct core *core);

/* pause.c */
/** pause_count() - @t is over now, or was before a restart. */
void pause_count(const struct core *core, const struct task *t);
/** pause_check() - one of the tasks of @function has failed: did all of the first ones? */
void pause_check(struct core *core, struct batch *b, uint32_t function);
void pause_resume(struct core *core, struct batch *b);
void pause_recover(const struct core *core, struct batch *b,
		   const struct core_event *event);
/** pause_start() - all that had ended before the restart has been told. */
void pause_start(struct core *core, struct batch *b);

/* chunk.c */
void chunk_take(struct core *core, struct batch *b, const struct core_event *event);

/* graph.c: @return 0, or the refusal was made */
int graph_link(struct core *core, struct batch *b);

/* flow.c */
void flow_list(struct core *core, struct task *t);
void flow_unlist(struct core *core, struct task *t);
void flow_deliver(struct core *core, struct task *t, const struct content *slots,
		  uint32_t count);
void flow_fail(struct core *core, struct task *t, uint32_t root);
void flow_run(struct core *core);
void group_complete(struct core *core, struct batch *b, struct group *g);
void group_tell(struct core *core, struct batch *b, struct group *g);
void group_announce(struct core *core, struct batch *b, struct group *g);
void group_hash(struct group *g);
/** group_place() - position of the member of edge @in in the complete list. */
uint32_t group_place(const struct batch *b, const struct group *g, uint32_t in);
struct content *group_entry(struct batch *b, struct group *g, uint32_t position);
/** group_find() - the member task whose content has this digest, or NULL. */
struct task *group_find(const struct batch *b, const struct group *g,
			const uint8_t digest[DIGEST_SIZE], bool *listed);
void group_omit(struct group *g, uint32_t position);

/** contents_valid() - at least @want of them, each of a type that exists. */
bool contents_valid(const struct content *slots, uint32_t count, uint32_t want);

/* task.c */
static inline struct batch *task_batch(const struct core *core, const struct task *t)
{
	return core->batches[t->batch];
}
static inline bool task_over(const struct task *t)
{
	return t->state >= TASK_DONE;
}
static inline struct task *batch_task(const struct batch *b, uint32_t index)
{
	return seg_at(&b->tasks, index);
}
static inline struct edge *batch_edge(const struct batch *b, uint32_t index)
{
	return seg_at(&b->edges, index);
}
static inline struct group *batch_group(const struct batch *b, uint32_t index)
{
	return seg_at(&b->groups, index);
}
const struct function *task_function(const struct core *core, const struct task *t);
const struct options *task_options(const struct core *core, const struct task *t);
const uint8_t *task_nonce(const struct task *t); /* or NULL */
enum core_task_status task_status(const struct core *core, const struct task *t);
void task_become(struct core *core, struct task *t, enum task_state state);
/** task_count() - add @by to the count of @status in @b and the totals. */
void task_count(struct core *core, struct batch *b, enum core_task_status status, int by);
struct task_end {
	enum task_state state;
	bool cached, deduplicated;
	uint64_t commit;
	uint32_t upstream, attempts;
};
/** task_end() - @t, not subscribed any more, is over; announces it. What depends on it is the
 * caller's to tell. */
void task_end(struct core *core, struct task *t, const struct task_end *end);
/** task_end_before() - the same for one that was over before a restart: told to nobody. */
void task_end_before(struct core *core, struct task *t, const struct task_end *end);
void task_cancel(struct core *core, struct task *t);
void task_resolve(struct core *core, struct task *t);
/** task_drop_old() - forget the lease that it was recovered with. */
void task_drop_old(struct core *core, struct task *t);

/* execution.c */
static inline struct execution *exec_at(const struct core *core, uint32_t slot)
{
	return pool_at(&core->execs, slot);
}
static inline core_exec_id exec_id(const struct execution *e)
{
	return (uint64_t)e->slot << 32 | e->generation;
}
struct execution *exec_find_id(const struct core *core, core_exec_id id);
struct exec_extra *exec_extra(struct execution *e);
void exec_free_extra(struct execution *e);
struct execution *exec_new(struct core *core, struct func *func,
			   const uint8_t args_hash[DIGEST_SIZE], enum core_cache cache,
			   const uint8_t *nonce);
struct execution *exec_find(const struct core *core, const struct func *func,
			    const uint8_t args_hash[DIGEST_SIZE], enum core_cache cache,
			    const uint8_t *nonce);
bool exec_has_users(const struct execution *e);
void exec_become(struct core *core, struct execution *e, enum exec_state state);
/** exec_moved() - its current lease is another one, or at another place. */
void exec_moved(struct core *core, struct execution *e);
void exec_subscribe(struct core *core, struct execution *e, struct task *t);
void exec_unsubscribe(struct core *core, struct execution *e, struct task *t);
/** exec_abandon() - if nobody uses it any more, it vanishes or is told to stop. */
void exec_abandon(struct core *core, struct execution *e);
void exec_unindex(struct core *core, struct execution *e);
void exec_forget(struct core *core, struct execution *e); /* free it */
/** exec_sponsor() - the task under which it is granted and recorded. NULL: none may now. */
struct task *exec_sponsor(const struct core *core, const struct execution *e);
struct task *exec_any_task(const struct execution *e);
uint32_t exec_retries(const struct core *core, const struct execution *e);
uint64_t exec_timeout(const struct core *core, const struct execution *e);
static inline uint32_t exec_attempts(const struct execution *e)
{
	return e->extra ? e->extra->attempts : 0;
}
/** exec_drop_cancelled() - cancel subscribers whose batch does not want more attempts. Return: false
 * if @e is gone with that. */
bool exec_drop_cancelled(struct core *core, struct execution *e);
void exec_linger_done(struct core *core); /* forget those that are durable */
void exec_bury(struct core *core);

/* lookup.c */
void lookup_want(struct core *core, struct execution *e);
void lookup_run(struct core *core);
void lookup_answer(struct core *core, const struct core_event *event);
bool lookup_has_room(const struct core *core);

/* outcome.c: how executions end */
void outcome_done(struct core *core, struct execution *e, struct lease *l,
		  const struct report *r);
void outcome_failed_attempt(struct core *core, struct execution *e, struct lease *l,
			    const struct report *r, bool final);
void outcome_hit(struct core *core, struct execution *e, uint64_t commit,
		 const struct content *slots, uint32_t slot_count);
void outcome_quarantine(struct core *core, struct execution *e);
/** outcome_no_room() - the worker of @l has no room for the inputs: elsewhere, or later. Return: true if
 * watchers are told of @r. */
bool outcome_no_room(struct core *core, struct execution *e, struct lease *l,
		     const struct report *r);
void outcome_lost_input(struct core *core, struct execution *e, struct lease *l,
			uint64_t token);
/** outcome_back() - the attempt is over and costs nothing: ready again, after @delay_ns. */
void outcome_back(struct core *core, struct execution *e, uint64_t delay_ns);
uint64_t backoff_ns(uint32_t n);

/* grant.c: leases */
void lease_become(struct core *core, struct lease *l, enum lease_state state);
struct lease *lease_find(const struct core *core, uint64_t epoch);
struct lease *lease_add(struct core *core, struct worker *w, struct execution *e,
			struct task *t, uint64_t epoch, const uint8_t mac[CORE_MAC_SIZE]);
void lease_put(struct core *core, struct lease *l, enum lease_place place);
void lease_grant(struct core *core, struct worker *w, struct execution *e, struct task *t,
		 bool placed);
/** lease_fill() - the fields that say whose work it is; no epoch, holder and MAC. */
void lease_fill(const struct core *core, const struct execution *e, const struct task *t,
		struct core_lease *out);
/** lease_describe() - the lease as its holder must present it; CURRENT and EXPIRED ones. */
void lease_describe(const struct core *core, const struct lease *l,
		    const uint8_t key[KEY_SIZE], struct core_lease *out);
bool lease_matches(const struct core *core, const struct lease *l, const struct worker *w,
		   const struct core_lease *got);
void lease_expire(struct core *core, struct lease *l, bool died);
/** lease_died() - the process that held it is gone, which was not known when it expired. */
void lease_died(struct core *core, struct lease *l);
/** lease_survived() - its process lives after all. */
void lease_survived(const struct core *core, struct lease *l);
/** lease_make_current() - against all rules: for PLANT_NO_EPOCH_CHECK. */
bool lease_make_current(struct core *core, struct lease *l);
void lease_reinstate(struct core *core, struct lease *l, struct worker *w);
void lease_stop(struct core *core, struct lease *l, enum core_stop_why why);
/** lease_end() - the attempt is over: frees @l and what it held. Its execution has no lease then. */
void lease_end(struct core *core, struct lease *l);
/** lease_supersede() - another holds the execution now, or nobody wants it. */
void lease_supersede(struct core *core, struct lease *l);

/* worker.c */
struct worker *worker_find(const struct core *core, uint32_t number);
void worker_join(struct core *core, const struct core_event *event);
void worker_credit(struct core *core, struct worker *w, uint32_t credit);
void worker_gone(struct core *core, struct worker *w);
void worker_leave(struct core *core, struct worker *w); /* BYE, REVOKE */
void worker_drain(struct core *core, struct worker *w);
void worker_heard(struct core *core, struct worker *w);
void worker_timer(struct core *core, uint32_t number);
void worker_update(struct core *core,
		   struct worker *w); /* may it be granted something? */
void worker_set_timer(struct core *core, struct worker *w);
/** worker_lost_at() - when it loses its leases, if nothing is heard of it until then. */
uint64_t worker_lost_at(const struct core *core, const struct worker *w);
/** worker_settle() - after it joined again, leases that it did not claim never arrived, or are lost
 * with the process that it was. */
void worker_settle(struct core *core, struct worker *w);
void worker_free_all(struct core *core);

/* capacity.c */
bool worker_fits(const struct worker *w, const struct class *class, bool free_now);
/** class_fits() - is there a worker that could hold it, were it idle? */
bool class_fits(const struct core *core, const struct class *class);
void worker_use(struct worker *w, const struct class *class, bool add);
/** worker_promote() - place what waits there and fits now. */
void worker_promote(struct core *core, struct worker *w);
void worker_set_capacity(struct core *core, struct worker *w,
			 const struct core_event *event);
void worker_place_again(struct core *core, struct worker *w);

/* heartbeat.c */
void worker_alive(struct core *core, struct worker *w, const struct core_event *event);

/* claim.c */
enum claim_result { CLAIM_REFUSED, CLAIM_WAITS, CLAIM_ADOPTED };
void claim_take(struct core *core, struct worker *w, const struct core_lease *lease,
		bool started, bool finished);
/** claim_judge() - a lease that is in no table. ADOPTED: lease_find() finds it now. WAITS: kept with
 * @report, if any. REFUSED: nothing was said yet. */
enum claim_result claim_judge(struct core *core, struct worker *w,
			      const struct core_lease *lease, bool started, bool finished,
			      const struct report *report);
void claim_retry_task(struct core *core, const struct task *t);
void claim_retry_exec(struct core *core, struct execution *e);
void claim_retry_batch(struct core *core, const uint8_t id[DIGEST_SIZE]);
void claim_expire(struct core *core);
void claim_drop_worker(struct core *core, uint32_t worker);
bool claim_waits(const struct core *core, uint64_t epoch);
void claim_free_all(struct core *core);

/* result.c */
void result_take(struct core *core, struct worker *w, const struct core_lease *lease,
		 const struct report *report);
void result_handback(struct core *core, struct worker *w, const struct core_lease *lease,
		     bool started);

/* revive.c: making the output of tasks that are over again */
/** revive_task() - make the output of @t, which is DONE, again, or find it.
 * @force:  a look-up is not enough: it was believed before
 * @waiter: execution that is BLOCKED until then, or NULL
 * @since:  epoch of its lease that missed the output */
void revive_task(struct core *core, struct task *t, bool force, struct execution *waiter,
		 uint64_t since);
void revive_run(struct core *core);
void revive_ready(struct core *core, struct task *t); /* its arguments are complete */
/** revive_made() - @e has run and succeeded: its output is there from now on. */
void revive_made(struct core *core, const struct execution *e);
void revive_delivered(struct core *core, struct execution *e, const struct content *slots,
		      uint32_t count);
void revive_failed(struct core *core, struct execution *e);
void revive_drop_batch(struct core *core, struct batch *b);
bool revive_uses(const struct execution *e);
struct revival *revive_find(const struct batch *b, const struct task *t);
void revive_want(struct core *core, struct revival *r); /* its turn comes */
/** revive_unblock() - one of those that this execution waits for is through. */
void revive_unblock(struct core *core, core_exec_id id);
struct task *revive_first_task(const struct execution *e);

/* missing.c */
enum missing_result {
	MISSING_WAITS, /* @l has ended; the execution is blocked, ready again, or gone */
	MISSING_LOST,  /* nothing can bring the input back; nothing was changed */
};
enum missing_result missing_revive(struct core *core, struct execution *e,
				   struct lease *l, const uint8_t digest[DIGEST_SIZE]);

/* readers.c */
static inline const struct content *edge_content(const struct task *t,
						 const struct edge *e)
{
	return (const struct content *)(t->args + e->offset);
}
/** readers_deliver_again() - what @t made now; those that never had it get it, too. */
void readers_deliver_again(struct core *core, struct task *t, const struct content *slots,
			   uint32_t count);
/** readers_update_lists() - @t gets lists that changed after it was resolved. */
void readers_update_lists(struct core *core, struct task *t);

/* schedule.c */
void queue_push(struct core *core, struct queue *q, struct execution *e, bool front);
void queue_remove(struct core *core, struct execution *e);
void queue_init(struct queue *q);
void schedule_add(struct core *core, struct execution *e, bool front); /* a READY one */
/** schedule_room() - something may be grantable that was not. */
void schedule_room(struct core *core);
/** schedule_ended() - a lease of @w ended; @place: more may run there at once than before. */
void schedule_ended(struct core *core, const struct worker *w, bool place);
void schedule_run(struct core *core);
/** schedule_waits_for_room() - it could be granted if a worker had room for it. */
bool schedule_waits_for_room(const struct core *core, const struct execution *e);
/** schedule_runs_there() - an attempt of @e that is not proved over is on @w. */
bool schedule_runs_there(const struct core *core, const struct worker *w,
			 const struct execution *e);
/** schedule_is_full() - @q counts against a batch that may not run more. */
bool schedule_is_full(const struct core *core, const struct queue *q);
void schedule_forget_batch(struct core *core, uint32_t slot);
void schedule_release(struct core *core, struct queue *from);
void schedule_free_all(struct core *core);

/* fair.c */
/** fair_granted() - @q was given something. */
void fair_granted(struct core *core, struct queue *q);
/** fair_moves() - @l is about to be put to another place on its worker. */
void fair_moves(struct lease *l, enum lease_place place);
/** fair_is_kept() - may @q not be given room on @w, although there is some? */
bool fair_is_kept(const struct core *core, const struct worker *w, const struct queue *q);
void fair_run(struct core *core); /* before anything is granted */
/** fair_release() - the worker that is kept for @q, if any, is not any more. */
void fair_release(struct core *core, struct queue *q);

/* room.c */
/** room_refused() - @w had none for the inputs of @e. Return: true if some other worker may, so that it
 * need not wait. */
bool room_refused(const struct core *core, struct execution *e, const struct worker *w);
/** room_is_refused() - did @w say so in this round? */
bool room_is_refused(const struct execution *e, const struct worker *w);
/** room_next_round() - begin anew if only those are left that have refused. */
void room_next_round(const struct core *core, struct execution *e);
/** room_waits() - what the last task of @b without room waits for; NULL if it does not any more. */
const struct execution *room_waits(const struct core *core, const struct batch *b);

/* core.c */
bool core_has_work(const struct core *core);
/* view.c: does a task that is not over read it, and still lack its content? */
bool task_is_wanted(const struct core *core, const struct task *t, bool lacking);

/* deadline.c */
void timer_add(struct core *core, enum timer_kind kind, uint64_t at, uint64_t id);
void timer_run(struct core *core);
void timer_stalled(struct core *core, uint64_t now);

/* recover.c */
void recover_end(struct core *core, struct batch *b, const struct core_event *event);
void recover_lease(struct core *core, struct batch *b, const struct core_event *event);
void recover_start(struct core *core);
void recover_worker_joined(const struct core *core, struct worker *w);
void recover_worker_here(struct core *core, struct worker *w);
void recover_release(struct core *core);
