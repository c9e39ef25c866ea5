-- An enrolment as it is now. A journey is entered once for ever.
insert into lifecycle.enrolments as stored (
    user_number, journey, version, entered_at, trigger, is_holdout, state, next_step, next_at,
    goal_at, ended_at, end_reason
)
values (
    %(user_number)s, %(journey)s, %(version)s, %(entered_at)s, %(trigger)s, %(is_holdout)s,
    %(state)s, %(next_step)s, %(next_at)s, %(goal_at)s, %(ended_at)s, %(end_reason)s
)
on conflict (user_number, journey) do update set
trigger = excluded.trigger,
state = excluded.state,
next_step = excluded.next_step,
next_at = excluded.next_at,
goal_at = excluded.goal_at,
ended_at = excluded.ended_at,
end_reason = excluded.end_reason
