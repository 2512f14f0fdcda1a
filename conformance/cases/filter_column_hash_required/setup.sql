create table t (id int primary key, h text not null, hd text not null default 'dflt', m text not null, ht text, mt text, tt text, plain text not null);
alter table t alter ht set storage external, alter mt set storage external, alter tt set storage external;
insert into t values (1, 'a', 'b', 'c', repeat('x', 4000), repeat('y', 4000), repeat('z', 4000), 'p');
