create extension hstore;
create table t (id int primary key, a int, by bytea, num numeric, j jsonb, h hstore, ta text[], ia int[], ba bigint[], u uuid[], na numeric(4)[], bya bytea[], boo boolean[]);
alter table t alter by set storage external, alter num set storage external, alter j set storage external, alter h set storage external, alter ta set storage external,
  alter ia set storage external, alter ba set storage external, alter u set storage external, alter na set storage external, alter bya set storage external, alter boo set storage external;
insert into t select 1, 1, decode(repeat('0102', 1100), 'hex'), ('1' || repeat('0', 5000) || '1')::numeric, to_jsonb(repeat('j', 2100)), hstore('k', repeat('h', 2100)),
  array[repeat('t', 2100)], array_agg(i), array_agg(i::bigint), array_agg('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid), array_agg(i::numeric(4)),
  array[decode(repeat('03', 2100), 'hex')], array_agg(true)
  from generate_series(1, 600) i;
update t set boo = (select array_agg(true) from generate_series(1, 2100));
