create type mood as enum ('sad', 'glad'); create domain dom as varchar(70);
create table t (id int primary key, v varchar(100), vs varchar(20), te text, c char(80), e mood, d dom, v2 varchar(100), vs2 varchar(20), te2 text, m text, s1 text, s5 text, s2 text, s3 text, s6 text, s4 text, req text not null);
create table u (id int primary key, x text not null, y text);
insert into t values (1, 'secret', 'secret', 'secret', 'secret', 'sad', 'secret', 'secret', 'secret', 'secret', 'secret', 'secret', 'secret', 'secret', 'secret', 'secret', 'secret', 'r'), (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, 'r');
