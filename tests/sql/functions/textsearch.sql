select to_tsvector('english', 'The quick brown foxes jumped over the lazy dogs, and the dogs slept')
select to_tsvector('simple', 'The Fat Rats'), to_tsvector('english', ''), to_tsvector('english', null)
select to_tsvector('english', 'generously generated generations of generals'), to_tsvector('english', 'connection connections connective connected')
select to_tsvector('english', 'happily ponies flies dying skies news inning proceed succeeded')
select array_to_tsvector('{b,a,b}'), tsvector_to_array('b:2 a:1'::tsvector), length('a:1,2 b'::tsvector), strip('a:1 b:2A'::tsvector)
select setweight('a:1 b:2,3C'::tsvector, 'B'), setweight('a b'::tsvector, 'A')
select 'a:1 b:2'::tsvector || 'a:1 c:2'::tsvector, 'a b'::tsvector || 'c:3'::tsvector, ''::tsvector || 'a:1'::tsvector
select 'a:1 b:2'::tsvector = 'b:2 a:1'::tsvector, 'a:1'::tsvector <> 'a:2'::tsvector
select 'a:'::tsvector
select '''a'::tsvector
select 'fat & rat & !cat'::tsquery, 'fat | rat & cat'::tsquery, '(fat | rat) & cat'::tsquery, 'fat <-> rat <2> cat'::tsquery
select 'super:*'::tsquery, 'fat:ab & cat:*d'::tsquery, '''a b'' & c'::tsquery, ''::tsquery
select 'a b'::tsquery
select 'a & & b'::tsquery
select '(a'::tsquery
select to_tsquery('english', 'The & Fat & Rats'), to_tsquery('english', '''supernovae stars'' & !crab'), to_tsquery('simple', 'A | the:B')
select to_tsquery('english', 'fat rats')
select to_tsquery('english', 'fat <-> of <-> rats'), to_tsquery('english', 'fat <2> rats | the'), to_tsquery('english', '!the & cat')
select plainto_tsquery('english', 'The Fat Rats'), plainto_tsquery('simple', 'The Fat'), plainto_tsquery('english', 'rats rats')
select phraseto_tsquery('english', 'the cat and the rats in a box'), phraseto_tsquery('simple', 'fat rats')
select websearch_to_tsquery('english', 'The fat rats'), websearch_to_tsquery('english', '"supernovae stars" -crab')
select websearch_to_tsquery('english', '"sad cat" or "fat rat"'), websearch_to_tsquery('english', 'signal -"segmentation fault"')
select websearch_to_tsquery('simple', '""" )( dummy '), websearch_to_tsquery('simple', 'a or or b'), websearch_to_tsquery('english', 'cat or')
select websearch_to_tsquery('simple', 'fat -rat or -cat'), websearch_to_tsquery('simple', 'a "b c" d')
select numnode('(fat & rat) | cat'::tsquery), numnode('!fat'::tsquery), numnode(''::tsquery)
select 'fat'::tsquery && 'rat | cat'::tsquery, 'fat'::tsquery || 'rat & cat'::tsquery, !! 'fat & rat'::tsquery
select 'fat'::tsquery <-> 'rat'::tsquery, tsquery_phrase('fat'::tsquery, 'rat | cat'::tsquery), tsquery_phrase('fat'::tsquery, 'cat'::tsquery, 10)
select tsquery_phrase('fat'::tsquery, 'cat'::tsquery, -1)
select 'fat'::tsquery && ''::tsquery, ''::tsquery || 'a'::tsquery, !! ''::tsquery
select to_tsvector('english', 'fat cats ate rats') @@ to_tsquery('english', 'cat & rat'), to_tsquery('english', 'cow') @@ to_tsvector('english', 'fat cats')
select to_tsvector('english', 'fatal error') @@ to_tsquery('english', 'fatal <-> error'), to_tsvector('english', 'error is not fatal') @@ to_tsquery('english', 'fatal <-> error')
select to_tsvector('english', 'the cat sat on a mat') @@ phraseto_tsquery('english', 'sat on the mat'), to_tsvector('english', 'sat mat') @@ phraseto_tsquery('english', 'sat on the mat')
select to_tsvector('english', 'postgraduate') @@ to_tsquery('english', 'postgre:*'), to_tsvector('english', 'a fat cat') @@ to_tsquery('english', '!rat & (cat | dog)')
select 'a:1 b:2A'::tsvector @@ 'b:A'::tsquery, 'a:1 b:2A'::tsvector @@ 'b:B'::tsquery, 'a b'::tsvector @@ 'a <-> b'::tsquery, 'a:1 b:2 c:3'::tsvector @@ 'a <-> !c'::tsquery
select 'a:1 b:2 c:3'::tsvector @@ 'a <-> (b | c)'::tsquery, 'a:1 c:2'::tsvector @@ '(a | b) <-> c'::tsquery, 'a:1 b:2 c:4'::tsvector @@ 'a <-> b <-> c'::tsquery, 'x:1 b:2'::tsvector @@ '!a <-> b'::tsquery
select ''::tsvector @@ 'a'::tsquery, 'a'::tsvector @@ ''::tsquery, null::tsvector @@ 'a'::tsquery
select ts_rank('a:1 b:2 c:3A'::tsvector, 'a & b'::tsquery), ts_rank('a:1 b:2 c:3A'::tsvector, 'a | c'::tsquery), ts_rank('a:1'::tsvector, 'x'::tsquery)
select ts_rank('{0.1, 0.2, 0.4, 1.0}', 'a:1 b:2C c:3B'::tsvector, 'a & b & c'::tsquery), ts_rank('{1, 1, 1, 1}', 'a:1,5,9'::tsvector, 'a'::tsquery)
select ts_rank('a:1,4 b:2 c:9'::tsvector, 'a <-> b'::tsquery, 1), ts_rank('a:1,4 b:2 c:9'::tsvector, 'a & c'::tsquery, 2), ts_rank('a:1,4 b:2 c:9'::tsvector, 'a'::tsquery, 8 | 32)
select ts_rank('{0.1}', 'a:1'::tsvector, 'a'::tsquery)
select ts_rank('{2, 1, 1, 1}', 'a:1'::tsvector, 'a'::tsquery)
select ts_rank_cd('a:1,7 b:3,8 c:5A'::tsvector, 'a & b'::tsquery), ts_rank_cd('a:1,7 b:3,8 c:5A'::tsvector, 'a & b & c'::tsquery, 4), ts_rank_cd('a:1 b:2'::tsvector, 'a <-> b'::tsquery)
select ts_rank_cd('{0.1, 0.2, 0.4, 1.0}', 'a:1,7 b:3,8 c:5A'::tsvector, 'a | c'::tsquery, 32), ts_rank_cd('a b'::tsvector, 'a & b'::tsquery)
select ts_headline('english', 'Small engines are made for building bridges', to_tsquery('english', 'engine & bridge'))
select ts_headline('english', 'The cats and the rats', to_tsquery('english', 'cat | dog'), 'StartSel = <i>, StopSel = </i>')
select ts_headline('simple', 'nothing of it here', 'absent'::tsquery), ts_headline('english', 'all of it', 'it'::tsquery, 'HighlightAll = true')
select ts_headline('english', 'a', 'a'::tsquery, 'MinWords = 0')
select get_current_ts_config() is not null, 'simple'::regconfig, 'english'::regconfig
select to_tsvector('no_such_configuration', 'a')
