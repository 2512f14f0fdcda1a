insert into t values ('4', '40');
update t set a = 'forty' where k = '4';
update t set k = '5' where k = '4';
update t set k = 'five', a = '50' where k = '5';
update t set k = '6' where k = 'five';
delete from t where k = '2';
delete from t where k = 'three';
delete from t where k = '6';
insert into t values ('7', null);
begin;
insert into t values ('8', '80');
insert into t values ('9', '90 ');
insert into t values ('10', '100');
commit;
--@ rest GET /connectors/${name}/status
