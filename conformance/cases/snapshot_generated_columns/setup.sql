create table t (
  id int primary key, a int not null,
  num int not null generated always as (a * 2) stored,
  txt text generated always as (a::text) stored,
  word text not null generated always as ('q'::text) stored,
  seven int generated always as (7) stored,
  moment timestamptz not null generated always as ('2020-01-01 00:00:00+00'::timestamptz) stored,
  last text);
insert into t values (1, 2);
create table k (a int not null, b int generated always as (a * 2) stored primary key, c text);
insert into k values (1, default, 'x');
